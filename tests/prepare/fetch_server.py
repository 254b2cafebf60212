"""A video site on 127.0.0.1: a proxy that ends every TLS connection itself, plays YouTube and knows no other site.

yt-dlp's real extractor speaks to it. Each video id answers as its `Video` says: refused in the site's own words, or
offered in some formats whose files may be cut off, slow, reset, lying about their size, or gone.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

SITE = ("youtube.com", "googlevideo.com")
OWNER: dict[str, Any] = {"videoSecondaryInfoRenderer": {"owner": {"videoOwnerRenderer": {
    "title": {"simpleText": "An author"}}}}}  # fmt: skip
OWNER = {"contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": [OWNER]}}}}}
BODY = bytes(range(251)) * 400  # 100,400 bytes of no real video


@dataclass
class Format:
    """One offered format; 137 and its kin hold pictures only, 18 has sound too, 140 is sound alone."""

    itag: int = 137
    height: int = 1080
    mime: str = 'video/mp4; codecs="avc1.640028"'
    sr: bool = False
    hdr: bool = False
    advertised: int | None = len(BODY)


@dataclass
class Video:
    """What the site says about one id, and how its file is served.

    `page`, `player` and `media` (the file) are used up, one per request: "ok" is a good answer, a number an HTTP
    status, "cut:N" ends after N bytes, "reset:N" resets after N bytes, "slow:S" pauses S seconds at times, "hang"
    says nothing, "redirect:PATH" leads on.
    """

    status: str = "OK"
    reason: str = ""
    subreason: str = ""
    screen: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    formats: list[Format] = field(default_factory=lambda: [Format()])
    player: list[str] = field(default_factory=list)
    page: list[str] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    body: bytes = BODY
    title: str = "A title"
    kind: str = "video/mp4"

    def playability(self) -> dict[str, Any]:
        """The site's verdict."""
        if self.status == "OK":
            return {"status": "OK"}
        screen = dict(self.screen)
        if self.subreason:
            texts = {"reason": {"simpleText": self.reason}, "subreason": {"simpleText": self.subreason}}
            screen["playerErrorMessageRenderer"] = texts
        return {"status": self.status, "reason": self.reason, "errorScreen": screen}


class Site:
    """`videos` by id, `files` by path of plain http; `requests` are (host, path, Range) in order."""

    def __init__(self, folder: Path) -> None:
        self.videos: dict[str, Video] = {}
        self.files: dict[str, Video] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.strangers: list[str] = []
        self.closing = threading.Event()
        authority = trustme.CA()
        self.ca_file = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*SITE, *(f"*.{host}" for host in SITE)).configure_cert(self.tls)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def media_requests(self) -> list[str | None]:
        """The Range headers of the requests for files."""
        return [asked for _, path, asked in self.requests if "/videoplayback" in path or path in self.files]

    def close(self) -> None:
        """End the server and whoever hangs."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


def player_response(video_id: str, video: Video) -> dict[str, Any]:
    """What the site's player interface answers."""
    answer: dict[str, Any] = {
        "playabilityStatus": video.playability(),
        "videoDetails": {"videoId": video_id, "title": video.title, "author": "An author", "lengthSeconds": "10",
                         "isLiveContent": False, **video.details},
    }  # fmt: skip
    if video.status == "OK":
        answer["streamingData"] = {"adaptiveFormats": [_stream(video_id, one) for one in video.formats]}
    return answer


def _stream(video_id: str, one: Format) -> dict[str, Any]:
    xtags = "&xtags=sr%3D1" if one.sr else ""
    stream: dict[str, Any] = {
        "itag": one.itag,
        "url": f"https://rr1.googlevideo.com/videoplayback?id={video_id}&itag={one.itag}{xtags}",
        "mimeType": one.mime,
        "bitrate": 1000 * one.height,
        "approxDurationMs": "10000",
        "quality": "hd1080",
    }
    if one.mime.startswith("video"):
        stream |= {"width": one.height * 16 // 9, "height": one.height, "fps": 30}
        stream["qualityLabel"] = f"{one.height}p{' HDR' if one.hdr else ''}"
    if one.advertised is not None:
        stream["contentLength"] = str(one.advertised)
    return stream


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"
    host = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        if not self.host.endswith(SITE):
            self.site.strangers.append(self.host)
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(ssl.SSLError, OSError):
            self.connection = self.site.tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb", -1)
            self.wfile = self.connection.makefile("wb", 0)
            self.close_connection = False

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        if parts.hostname not in (None, "127.0.0.1"):
            self.site.strangers.append(str(parts.hostname))
            self.send_error(502)
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.site.requests.append((self.host, parts.path, self.headers.get("Range")))
        if parts.path == "/youtubei/v1/player":
            video_id = json.loads(body)["videoId"]
            video = self.site.videos[video_id]
            self._page(video.player, json.dumps(player_response(video_id, video)), "application/json")
        elif parts.path == "/youtubei/v1/next":
            self._page([], json.dumps(OWNER), "application/json")
        elif parts.path == "/watch" and self.host:
            video = self.site.videos[query["v"]]
            response = json.dumps(player_response(query["v"], video))
            text = f"<html><script>var ytInitialPlayerResponse = {response};</script></html>"
            self._page(video.page, text, "text/html")
        elif parts.path.startswith("/embed/"):
            client = {"clientName": "WEB_EMBEDDED_PLAYER", "clientVersion": "2.20260101.00.00"}
            settings = json.dumps({"INNERTUBE_CONTEXT": {"client": client}})
            self._page([], f"<html><script>ytcfg.set({settings});</script></html>", "text/html")
        elif parts.path == "/videoplayback":
            self._file(self.site.videos[query["id"]])
        elif parts.path in self.site.files:
            self._file(self.site.files[parts.path])
        else:
            self._page(["404"], "", "text/plain")

    def _page(self, plan: list[str], text: str, kind: str) -> None:
        step = plan.pop(0) if plan else "ok"
        if step == "hang":
            self.site.closing.wait()
        elif step.startswith("reset"):
            self._reset()
        elif step != "ok":
            self._refuse(int(step))
        else:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    def _file(self, video: Video) -> None:
        plan = video.media if self.command == "GET" else []
        step = plan.pop(0) if plan else "ok"
        if step.isdecimal():
            self._refuse(int(step))
        elif step == "hang":
            self.site.closing.wait()
        elif step.startswith("redirect:"):
            self.send_response(302)
            self.send_header("Location", step.partition(":")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(video, *step.partition(":")[::2])

    def _send(self, video: Video, step: str, count: str) -> None:
        body = video.body
        start, end = self._range(len(body))
        if start >= len(body):
            self._refuse(416)
            return
        part = body[start:end]
        self.send_response(200 if (start, end) == (0, len(body)) and "Range" not in self.headers else 206)
        self.send_header("Content-Type", video.kind)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if step == "slow":
            for at in range(0, len(part), 20_000):
                self.wfile.write(part[at : at + 20_000])
                self.site.closing.wait(float(count))
            return
        self.wfile.write(part if step == "ok" else part[: int(count)])
        if step == "reset":
            self._reset()
        self.close_connection = step != "ok"

    def _range(self, size: int) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            return 0, size
        return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _reset(self) -> None:
        """End the connection by a reset instead of in good order."""
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().handle()


def _handler(site: Site) -> type[Handler]:
    return type("Handler", (Handler,), {"site": site})


@contextlib.contextmanager
def guarded(site: Site, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Site]:
    """Make the site trusted and everything but 127.0.0.1 unreachable; afterwards nobody may have asked for more."""
    outside: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            outside.append(address)
            raise OSError("only 127.0.0.1 may be reached in tests")
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            outside.append(host)
            raise socket.gaierror("only 127.0.0.1 may be looked up in tests")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    monkeypatch.setattr("certifi.where", lambda: str(site.ca_file))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    site.videos, site.files, site.requests = {}, {}, []
    yield site
    assert outside == []
    assert site.strangers == []
