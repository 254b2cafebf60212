"""Files without a published hash: looked into, pinned at first use, shown as such, and held to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.weights import cache, load
from avatarkit.weights.errors import DamagedWeights, DownloadError, HashMismatch, WeightError, WrongFile
from avatarkit.weights.fetch import fetch
from avatarkit.weights.lock import WeightFile

Weight = Callable[..., WeightFile]
PAGE = b"<html>Too many downloads, try again tomorrow</html>"


@pytest.fixture
def unhashed(weight: Weight) -> WeightFile:
    return weight(sha256=None, size_bytes=None, probe_keys=("first.weight",))


@pytest.fixture
def body(state_dict_file: Path) -> bytes:
    return state_dict_file.read_bytes()


def test_pinned_at_the_first_fetch(server, unhashed: WeightFile, body: bytes) -> None:
    server.serve(body=body)
    assert cache.state(unhashed) == "missing"
    fetch(unhashed)
    assert cache.state(unhashed) == "pinned"
    pin = cache.pins()["net"]
    assert (pin.origin, pin.size_bytes, len(pin.sha256)) == (server.url("/net.pth"), len(body), 64)


def test_changed_file_is_damaged(server, unhashed: WeightFile, body: bytes) -> None:
    server.serve(body=body)
    path = fetch(unhashed)
    path.write_bytes(body + b"x")
    state, wrong = cache.examine(unhashed)
    assert state == "damaged"
    assert wrong is not None
    assert "pinned at first use was" in wrong
    assert fetch(unhashed).read_bytes() == body


def test_publisher_replaced_the_file(server, unhashed: WeightFile, body: bytes, other_body: bytes) -> None:
    server.serve(body=body)
    path = fetch(unhashed)
    first = cache.pinned(unhashed)
    path.unlink()
    server.serve(body=other_body)
    with pytest.raises(HashMismatch, match="--repin takes the new one") as caught:
        fetch(unhashed)
    assert str(first) in str(caught.value)
    assert cache.pinned(unhashed) == first
    assert fetch(unhashed, repin=True).read_bytes() == other_body
    assert cache.pinned(unhashed) != first


@pytest.fixture
def other_body(tmp_path: Path) -> bytes:
    import torch

    path = tmp_path / "other.pth"
    torch.save({"first.weight": torch.full((2, 3), 2.0)}, path)
    return path.read_bytes()


def test_page_instead_of_a_file_is_not_pinned(server, unhashed: WeightFile, kept) -> None:
    server.serve(body=PAGE)
    with pytest.raises(DownloadError, match="sent another file"):
        fetch(unhashed)
    assert (kept(), cache.pins()) == ([], {})


def test_wrong_keys_are_not_pinned(server, weight: Weight, body: bytes, kept) -> None:
    server.serve(body=body)
    with pytest.raises(DownloadError, match=r"its state dict has no second\.weight"):
        fetch(weight(sha256=None, size_bytes=None, probe_keys=("second.weight",)))
    assert kept() == []


def test_put_there_by_hand(registry, unhashed: WeightFile, body: bytes, folder: Path) -> None:
    registry(unhashed)
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(body)
    assert cache.state(unhashed) == "unpinned"
    assert load.present("net")
    assert load.require("net") == folder / "net.pth"
    assert cache.state(unhashed) == "pinned"
    assert cache.pins()["net"].origin == "put into the folder by hand"


def test_nonsense_put_there_by_hand(
    registry, unhashed: WeightFile, body: bytes, folder: Path, server
) -> None:
    registry(unhashed)
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(PAGE)
    with pytest.raises(WrongFile, match="is no PyTorch file"):
        load.require("net")
    server.serve(body=body)
    assert fetch(unhashed).read_bytes() == body


def test_code_put_there_by_hand_is_not_run(registry, weight: Weight, body: bytes, folder: Path) -> None:
    registry(weight(sha256=None, size_bytes=None, kind="torchscript"))
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(body)
    with pytest.raises(
        WeightError, match=r"no hash vouches for it; `avatarkit weights import FILE --as net`"
    ):
        load.load_torchscript("net")


def test_loading_checks_the_pin(server, registry, unhashed: WeightFile, body: bytes) -> None:
    registry(unhashed)
    server.serve(body=body)
    path = fetch(unhashed)
    assert list(load.load_state_dict("net")) == ["first.weight", "first.bias"]
    path.write_bytes(body + b"x")
    with pytest.raises(DamagedWeights, match="pinned at first use was"):
        load.load_state_dict("net")


def test_the_first_day_is_kept(server, unhashed: WeightFile, body: bytes, folder: Path) -> None:
    server.serve(body=body)
    path = fetch(unhashed)
    record = json.loads((folder / cache.PINS).read_text())
    record["files"]["net"]["since"] = "2020-02-02"
    (folder / cache.PINS).write_text(json.dumps(record))
    path.touch()
    assert cache.state(unhashed) == "pinned"
    assert (cache.pins()["net"].since, cache.pins()["net"].origin) == ("2020-02-02", server.url("/net.pth"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "files": {"net": {}}}', "\xff"]
)
def test_damaged_record(text: str, folder: Path, unhashed: WeightFile) -> None:
    folder.mkdir(parents=True)
    (folder / cache.PINS).write_text(text, encoding="latin-1")
    (folder / "net.pth").touch()
    with pytest.raises(WeightError, match="is damaged; delete it to pin the files"):
        cache.state(unhashed)


def test_record_of_a_later_version(folder: Path, unhashed: WeightFile) -> None:
    folder.mkdir(parents=True)
    (folder / cache.PINS).write_text('{"version": 2, "files": {}}')
    with pytest.raises(WeightError, match="is of version 2; use the avatarkit that wrote it"):
        cache.pins()
