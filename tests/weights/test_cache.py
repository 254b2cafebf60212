"""Where files are kept, and how their state is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.errors import OutputError
from avatarkit.weights import cache
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048
Weight = Callable[..., WeightFile]


@pytest.fixture
def put(folder: Path) -> Callable[[bytes], Path]:
    """put(body): the file, as if copied there by hand."""

    def write(body: bytes) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "net.pth"
        before_ns = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(body)
        if path.stat().st_mtime_ns == before_ns:  # some systems tell times of files to a few milliseconds only
            os.utime(path, ns=(before_ns, before_ns + 1_000_000))
        return path

    return write


def test_folder_by_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", "~/weights")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_dir() == tmp_path / "weights"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARKIT_WEIGHTS", "here")
    assert cache.cache_dir() == tmp_path / "here"


@pytest.mark.parametrize("value", [None, "", " "])
def test_folder_of_the_platform(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("AVATARKIT_WEIGHTS")
    else:
        monkeypatch.setenv("AVATARKIT_WEIGHTS", value)
    assert cache.cache_dir().parts[-2:] == ("avatarkit", "weights")
    assert cache.cache_dir().is_absolute()


def test_looking_makes_nothing(weight: Weight, folder: Path) -> None:
    assert cache.state(weight()) == "missing"
    assert not folder.exists()


def test_copied_by_hand_is_hashed_once(weight: Weight, put, monkeypatch: pytest.MonkeyPatch) -> None:
    put(BODY)
    assert cache.state(weight()) == "present"
    monkeypatch.setattr(cache, "digests", pytest.fail)
    assert cache.state(weight()) == "present"


def test_touched_is_hashed_again(weight: Weight, put) -> None:
    path = put(BODY)
    assert cache.state(weight()) == "present"
    path.touch()
    assert cache.state(weight()) == "present"


@pytest.mark.parametrize("body", [BODY[::-1], BODY[:-1], b""])
def test_damaged(body: bytes, weight: Weight, put) -> None:
    put(BODY)
    assert cache.state(weight()) == "present"
    put(body)
    assert cache.state(weight()) == "damaged"
    put(BODY)
    assert cache.state(weight()) == "present"


def test_verifying_reads_what_looks_unchanged(weight: Weight, put) -> None:
    path = put(BODY)
    cache.state(weight())
    before = path.stat()
    put(BODY[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.state(weight()) == "present"
    assert cache.state(weight(), rehash=True) == "damaged"


def test_lock_file_that_has_changed(weight: Weight, put) -> None:
    put(BODY)
    assert cache.state(weight()) == "present"
    assert cache.state(weight(sha256="0" * 64)) == "damaged"


def test_record_that_cannot_be_written_is_no_error(
    weight: Weight, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(BODY)

    def refuse(path: Path, text: str) -> None:
        raise OutputError("read-only")

    monkeypatch.setattr(cache, "_write_whole", refuse)
    assert cache.state(weight()) == "present"
    assert cache.pins() == {}


def test_messages_are_whole(weight: Weight, put) -> None:
    missing = cache.missing_text(weight())
    assert missing.startswith("net is not here: net.pth (0.5 MB) from http://127.0.0.1:")
    assert "`avatarkit weights fetch net`" in missing
    assert "`avatarkit weights import FILE --as net`" in missing
    put(BODY[::-1])
    damaged = cache.damaged_text(weight())
    assert weight().sha256 in damaged
    assert damaged.endswith("`avatarkit weights fetch net` replaces it")
    assert cache.damaged_text(weight(urls=(), how_to_get="ask")).endswith(
        "replace it by `avatarkit weights import FILE --as net`"
    )
