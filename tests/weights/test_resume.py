"""Downloads that were cut, killed or crowded: what was received is used, never trusted."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from avatarkit.errors import OutputError
from avatarkit.weights import cache
from avatarkit.weights.errors import DownloadError
from avatarkit.weights.fetch import Patience, fetch
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048
PART, NOTE = ".net.pth.part", ".net.pth.part.json"
ONCE = Patience(silence_s=60.0, tries=1, pause_s=0.0)
Weight = Callable[..., WeightFile]
Kept = Callable[[], list[str]]

FETCH = """
import sys
from avatarkit.weights.fetch import fetch
from avatarkit.weights.lock import WeightFile
print(fetch(WeightFile(**{values!r})))
"""


def fetching(weight: WeightFile) -> subprocess.Popen[str]:
    """A process of its own that fetches."""
    code = FETCH.format(values=asdict(weight))
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_cut_in_one_run(server, weight: Weight, patience: Patience, kept: Kept) -> None:
    server.serve(cuts=[100_000, 200_000])
    assert fetch(weight(), patience=patience).read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=300000-"]
    assert server.bytes_sent == len(BODY)
    assert kept() == ["net.pth", "pins.json"]


def test_cut_and_the_same_command_again(server, weight: Weight, kept: Kept) -> None:
    server.serve(cuts=[100_000])
    with pytest.raises(DownloadError, match=r"0\.1 MB are kept, and the same command goes on from there"):
        fetch(weight(), patience=ONCE)
    assert kept() == [PART, NOTE]
    assert cache.state(weight()) == "missing"
    assert fetch(weight(), patience=ONCE).read_bytes() == BODY
    assert server.requests[1] == ("/net.pth", "bytes=100000-")
    assert server.bytes_sent == len(BODY)
    assert kept() == ["net.pth", "pins.json"]


def test_server_without_ranges_starts_again(server, weight: Weight, patience: Patience, kept: Kept) -> None:
    server.serve(cuts=[100_000], ranges=False)
    assert fetch(weight(), patience=patience).read_bytes() == BODY
    assert kept() == ["net.pth", "pins.json"]


def test_useless_part_is_not_kept(server, weight: Weight, kept: Kept) -> None:
    server.serve(cuts=[100_000], ranges=False)
    with pytest.raises(DownloadError, match=f"broke off after 100000 of {len(BODY)} bytes; or get"):
        fetch(weight(), patience=ONCE)
    assert kept() == []


@pytest.mark.parametrize("heed_if_range", [True, False])
def test_changed_meanwhile(heed_if_range: bool, server, weight: Weight) -> None:
    server.serve(body=BODY[::-1], cuts=[100_000])
    with pytest.raises(DownloadError):
        fetch(weight(), patience=ONCE)
    server.serve(etag='"two"', heed_if_range=heed_if_range)
    assert fetch(weight(), patience=ONCE).read_bytes() == BODY


def test_part_of_another_address_is_dropped(server, weight: Weight) -> None:
    server.serve(cuts=[100_000])
    with pytest.raises(DownloadError):
        fetch(weight(), patience=ONCE)
    server.serve("/other.pth")
    assert fetch(weight(urls=(server.url("/other.pth"),))).read_bytes() == BODY
    assert server.requests[-1] == ("/other.pth", None)


def test_part_without_a_version_is_not_mixed_unless_a_hash_would_tell(
    server, weight: Weight, kept: Kept
) -> None:
    server.serve(cuts=[100_000], etag=None)
    with pytest.raises(DownloadError):
        fetch(weight(sha256=None), patience=ONCE)
    assert kept() == []


def test_whole_part_only_needs_its_name(server, weight: Weight, folder: Path) -> None:
    server.serve(cuts=[100_000])
    with pytest.raises(DownloadError):
        fetch(weight(), patience=ONCE)
    (folder / PART).write_bytes(BODY)
    sent = server.bytes_sent
    assert fetch(weight()).read_bytes() == BODY
    assert server.bytes_sent == sent


@pytest.mark.parametrize("left", [BODY + b"x", BODY[::-1], b""])
def test_spoilt_part(
    left: bytes, server, weight: Weight, folder: Path, kept: Kept, patience: Patience
) -> None:
    server.serve(cuts=[100_000])
    with pytest.raises(DownloadError):
        fetch(weight(), patience=ONCE)
    (folder / PART).write_bytes(left)
    assert fetch(weight(), patience=patience).read_bytes() == BODY
    assert kept() == ["net.pth", "pins.json"]


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', "null"])
def test_spoilt_note(note: str, server, weight: Weight, folder: Path) -> None:
    server.serve()
    folder.mkdir(parents=True)
    (folder / PART).write_bytes(BODY[:1000])
    (folder / NOTE).write_text(note)
    assert fetch(weight()).read_bytes() == BODY
    assert server.requests == [("/net.pth", None)]


class Quiet:
    def stage(self, name: str, total: int | None, unit: str = "frames") -> None: ...
    def advance(self, count: int = 1) -> None: ...
    def notice(self, text: str) -> None: ...


def test_interrupted(server, weight: Weight, kept: Kept) -> None:
    server.serve(pieces=4, pause_s=0.02)

    class Interrupt(Quiet):
        def advance(self, count: int = 1) -> None:
            if count:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(weight(), progress=Interrupt())
    assert kept() == [PART, NOTE]
    assert fetch(weight()).read_bytes() == BODY
    assert server.requests[1][1] is not None


class FullDisk:
    """A file on a disk that is full after 100,000 bytes."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._written = 0

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def write(self, block: bytes) -> int:
        self._written += len(block)
        if self._written > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._handle.write(block))


def test_full_disk(server, weight: Weight, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve()
    opened = pathlib.Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        handle = opened(self, mode, *rest, **options)
        return FullDisk(handle) if mode == "ab" else handle

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "open", full)
        with pytest.raises(
            OutputError, match=r"the disk is full \(No space left on device\); free some space"
        ):
            fetch(weight())
    assert (kept(), len(server.requests)) == ([], 1)
    assert fetch(weight()).read_bytes() == BODY


def test_disk_that_is_too_small_is_told_first(
    server, weight: Weight, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 200_000))
    with pytest.raises(OutputError, match=r"the disk is full \(0\.5 MB needed, 0\.2 MB free\)"):
        fetch(weight())
    assert kept() == []


def test_two_processes_fetch_once(server, weight: Weight, folder: Path) -> None:
    server.serve(pieces=8, pause_s=0.1)
    processes = [fetching(weight()) for _ in range(2)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert {out.strip() for out, _ in results} == {str(folder / "net.pth")}
    assert server.bytes_sent == len(BODY)
    assert len(server.requests) == 1


def test_a_killed_process_leaves_no_lock_behind(server, weight: Weight, folder: Path) -> None:
    server.serve(pieces=8, pause_s=0.5)
    process = fetching(weight())
    assert server.begun.wait(120)
    deadline = time.monotonic() + 60
    while not (folder / NOTE).is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    server.serve()
    assert fetch(weight()).read_bytes() == BODY


HOLD = """
import sys
from avatarkit.weights.cache import locked
with locked('net.pth'):
    print(flush=True)
    sys.stdin.read()
"""


def test_waiting_for_another_process_is_told(weight: Weight, server) -> None:
    server.serve()
    notices: list[str] = []
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe) as holder:
        holder.stdout.readline()

        class LetGo(Quiet):
            def notice(self, text: str) -> None:
                notices.append(text)
                holder.stdin.close()

        fetch(weight(), progress=LetGo())
    assert notices == ["net: waiting for another process"]


def test_patience_has_an_end_even_with_progress(server, weight: Weight) -> None:
    server.serve(ranges=False, cuts=[3000, 1000, 2000, 3000, 1000, 2000, 3000])
    with pytest.raises(DownloadError, match="broke off"):
        fetch(weight(), patience=Patience(60.0, 3, 0))
    assert len(server.requests) == 3
