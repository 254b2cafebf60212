"""Files that the user has: copied if they are what they are said to be."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.errors import InputError, OutputError
from avatarkit.weights import cache, fetch
from avatarkit.weights.errors import WrongFile
from avatarkit.weights.fetch import import_file
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048
Weight = Callable[..., WeightFile]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "downloaded (1).pth"
    path.write_bytes(BODY)
    return path


def test_right_file(weight: Weight, source: Path, folder: Path, kept) -> None:
    assert import_file(source, weight()) == folder / "net.pth"
    assert (folder / "net.pth").read_bytes() == BODY == source.read_bytes()
    assert kept() == ["net.pth", "pins.json"]
    assert cache.state(weight()) == "present"
    assert cache.pins()["net"].origin == f"imported from {source}"


def test_file_that_is_in_its_place_already(weight: Weight, source: Path) -> None:
    path = import_file(source, weight())
    assert import_file(path, weight()).read_bytes() == BODY


def test_wrong_hash(weight: Weight, source: Path, kept) -> None:
    source.write_bytes(BODY[::-1])
    with pytest.raises(WrongFile, match=r"is not net: its sha256 is .*; nothing was kept") as caught:
        import_file(source, weight())
    assert weight().sha256 in str(caught.value)
    assert (caught.value.exit_code, kept()) == (3, [])


def test_another_known_file_is_named(weight: Weight, source: Path, registry) -> None:
    registry(weight(sha256="0" * 64), weight(name="other"))
    with pytest.raises(WrongFile, match="is not net but other: "):
        import_file(source, weight(sha256="0" * 64))


def test_earlier_file_stays_when_the_new_one_is_wrong(weight: Weight, source: Path, folder: Path) -> None:
    import_file(source, weight())
    source.write_bytes(b"nonsense")
    with pytest.raises(WrongFile):
        import_file(source, weight())
    assert (folder / "net.pth").read_bytes() == BODY


def test_without_a_hash_the_contents_count(weight: Weight, state_dict_file: Path, source: Path, kept) -> None:
    unhashed = weight(sha256=None, size_bytes=None, probe_keys=("first.weight",))
    with pytest.raises(WrongFile, match="is no PyTorch file"):
        import_file(source, unhashed)
    with pytest.raises(WrongFile, match=r"is not net: its state dict has no a, b, c and 1 more"):
        import_file(state_dict_file, weight(sha256=None, size_bytes=None, probe_keys=("a", "b", "c", "d")))
    assert kept() == []
    import_file(state_dict_file, unhashed)
    assert cache.state(unhashed) == "pinned"


@pytest.mark.parametrize("kind", ["torchscript", "bundle"])
def test_other_kinds_without_a_hash(kind: str, weight: Weight, source: Path, state_dict_file: Path) -> None:
    unhashed = weight(sha256=None, size_bytes=None, kind=kind)
    with pytest.raises(WrongFile, match=f"not a {kind} file"):
        import_file(source, unhashed)
    assert import_file(state_dict_file, unhashed).is_file()


def test_pin_holds_until_repin(weight: Weight, state_dict_file: Path, source: Path) -> None:
    unhashed = weight(sha256=None, size_bytes=None)
    import_file(state_dict_file, unhashed)
    source.write_bytes(state_dict_file.read_bytes() + b"\0")
    with pytest.raises(WrongFile, match="pinned at first use was"):
        import_file(source, unhashed)


def test_own_check_comes_before_the_name(weight: Weight, source: Path, kept) -> None:
    def check(path: Path) -> None:
        assert path.read_bytes() == BODY
        raise WrongFile("3 keys missing")

    with pytest.raises(WrongFile, match="3 keys missing"):
        import_file(source, weight(), check=check)
    assert kept() == []


@pytest.mark.parametrize(
    "make", [lambda path: None, Path.mkdir, Path.touch], ids=["missing", "folder", "empty"]
)
def test_no_file(make: Callable[[Path], None], weight: Weight, tmp_path: Path, kept) -> None:
    make(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth"):
        import_file(tmp_path / "x.pth", weight())
    assert kept() == []


def test_full_disk(weight: Weight, source: Path, kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(fetch, "digests_of", full)
        with pytest.raises(OutputError, match="the disk is full"):
            import_file(source, weight())
    assert kept() == []
    assert import_file(source, weight()).is_file()


def test_cache_that_cannot_be_written(weight: Weight, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(source / "weights"))
    with pytest.raises(OutputError, match="set AVATARKIT_WEIGHTS"):
        import_file(source, weight())
