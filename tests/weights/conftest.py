"""A server on 127.0.0.1 that can go wrong in every way, a cache of its own, and weight files to ask for."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from avatarkit.weights import lock
from avatarkit.weights.fetch import Patience
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048  # 512 KiB


@dataclass
class Served:
    """One address: what it holds, and what goes wrong with it.

    `cuts` and `statuses` are used up, one per request; `cut_always` stays.
    """

    body: bytes = BODY
    ranges: bool = True
    etag: str | None = '"one"'
    heed_if_range: bool = True
    length: int | None = None
    status: int | None = None
    statuses: list[int] = field(default_factory=list)
    redirect: str | None = None
    cuts: list[int] = field(default_factory=list)
    cut_always: int | None = None
    silent_after: int | None = None
    silent_before: bool = False
    pieces: int = 1
    pause_s: float = 0.0


class Server:
    """`files` maps paths to what is served there; `requests` are (path, Range header) in order."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.bytes_sent = 0
        self.begun = threading.Event()
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{path}"

    def serve(self, path: str = "/net.pth", **options: Any) -> Served:
        self.files[path] = Served(**options)
        return self.files[path]

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    owner: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.owner.requests.append((self.path, asked))
        served = self.owner.files.get(self.path)
        if served is None:
            self.send_error(404)
            return
        if served.silent_before:
            self.owner.closing.wait()
            return
        status = served.statuses.pop(0) if served.statuses else served.status
        if status is not None:
            self.send_error(status)
            return
        if served.redirect is not None:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            self.end_headers()
            return
        start = self._start(served, asked)
        if start is not None:
            self._send(served, start)

    def _start(self, served: Served, asked: str | None) -> int | None:
        start = 0
        condition = self.headers.get("If-Range")
        same = not served.heed_if_range or condition in (None, served.etag)
        total = len(served.body)
        if served.ranges and asked and same:
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found, asked
            start = int(found[1])
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return None
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        if served.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Length", str(served.length or total - start))
        self.end_headers()
        return start

    def _send(self, served: Served, start: int) -> None:
        body = served.body[start:]
        cut = served.cuts.pop(0) if served.cuts else served.cut_always
        if cut is not None:
            body = body[:cut]
        if served.silent_after is not None:
            body = body[: served.silent_after]
        size = -(-len(body) // served.pieces)
        for at in range(0, len(body), size or 1):
            self.owner.bytes_sent += len(body[at : at + size])  # before whoever asked may have them, and look here
            self.wfile.write(body[at : at + size])
            self.owner.begun.set()
            time.sleep(served.pause_s)
        if served.silent_after is not None:
            self.owner.closing.wait()
        self.close_connection = True


def _handler(server: Server) -> type[Handler]:
    return type("Handler", (Handler,), {"owner": server})


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder; it does not exist yet."""
    folder = tmp_path / "cache" / "weights"
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(folder))
    monkeypatch.delenv("AVATARKIT_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture
def patience() -> Patience:
    """Enough for a busy machine, short for a test."""
    return Patience(silence_s=60.0, tries=2, pause_s=0.0)


@pytest.fixture
def weight(server: Server) -> Callable[..., WeightFile]:
    """weight(**changes): a weight file at the server's /net.pth with the hash of BODY."""

    def make(**changes: Any) -> WeightFile:
        values: dict[str, Any] = {
            "name": "net",
            "file": "net.pth",
            "purpose": "tests",
            "kind": "state-dict",
            "licence": "MIT",
            "licence_url": "https://example.org/licence",
            "permissive": True,
            "citation": "Nobody, 2000",
            "used_by": ("reenact",),
            "urls": (server.url("/net.pth"),),
            "size_bytes": len(BODY),
            "sha256": hashlib.sha256(BODY).hexdigest(),
        }
        return WeightFile(**{**values, **changes})

    return make


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """registry(weight, ...): these are all the weight files there are."""

    def replace(*known: WeightFile) -> None:
        table = {entry.name: entry for entry in known}
        monkeypatch.setattr(lock, "weights", lambda: table)

    return replace


@pytest.fixture
def kept(folder: Path) -> Callable[[], list[str]]:
    """What lies in the cache folder, locks left out."""

    def names() -> list[str]:
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))

    return names


@pytest.fixture(scope="session")
def state_dict_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict with keys module.first.weight and module.first.bias."""
    import torch

    path = tmp_path_factory.mktemp("made") / "made.pth"
    torch.save({"module.first.weight": torch.ones(2, 3), "module.first.bias": torch.zeros(2)}, path)
    return path
