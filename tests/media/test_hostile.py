"""Drivers from strangers: what names other files is refused by name, and no other file is opened."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from avatarkit.errors import InputError
from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.image import read_image
from avatarkit.media.probe import probe
from avatarkit.media.random_access import frames_at

DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1"
bandwidth="1"><BaseURL>{0}</BaseURL></Representation></AdaptationSet></Period></MPD>"""
PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "DASH": DASH,
    "ffconcat": "ffconcat version 1.0\nfile {0}\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "ASX": "<ASX version=3><entry><ref href='{0}'/></entry></ASX>",
    "Smooth Streaming": "<?xml version='1.0'?><SmoothStreamingMedia Duration='1'/>",
}
WITHOUT_A_LIST = ("hls", "dash", "concat", "sdp", "image2", "imf", "tty", "rawvideo", "lavfi", "rtsp")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A video that the attacker wants to be played."""
    path = tmp_path / "wanted-by-nobody.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64"]
    subprocess.run([ffmpeg_binary(), "-v", "error", *picture, str(path)], check=True)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".mpd", ".mkv", ""])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_are_refused_by_name(secret: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"driver{suffix}"
    path.write_text(PLAYLISTS[kind].format(secret.name))
    for act in (lambda: probe(path), lambda: frames_at(path, [0])):
        with pytest.raises(InputError, match=rf"is a playlist \({kind}\)"):
            act()


def test_playlist_of_a_named_pipe_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "driver.mp4").write_text(PLAYLISTS["ffconcat"].format("pipe.mp4"))
    began = time.monotonic()
    for name in ("driver.mp4", "pipe.mp4"):
        with pytest.raises(InputError):
            probe(tmp_path / name)
    assert time.monotonic() - began < 2


def test_ffmpeg_itself_refuses_what_our_own_look_missed(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatarkit.media.probe.refuse_playlist", lambda path: None)
    for kind, text in PLAYLISTS.items():
        path = tmp_path / f"{kind}.mp4"
        path.write_text(text.format(secret.name))
        with pytest.raises(InputError, match=r"format that is not read|not a media file"):
            probe(path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("kind", ["ffconcat", "DASH", "HLS"])
def test_system_calls_show_no_second_file_and_no_socket(secret: Path, tmp_path: Path, kind: str) -> None:
    path, log = tmp_path / "driver.mp4", tmp_path / "trace"
    path.write_text(PLAYLISTS[kind].format(secret.name))
    script = (
        "import sys; from avatarkit.media import probe as module; from avatarkit.errors import InputError\n"
        "module.refuse_playlist = lambda path: None\n"
        "try: module.probe(sys.argv[1])\nexcept InputError: sys.exit(3)"
    )
    command = ["strace", "-f", "-o", str(log), "-e", "trace=open,openat,socket,connect", sys.executable, "-c", script]
    assert subprocess.run([*command, str(path)], check=False, capture_output=True).returncode == 3
    trace = log.read_text()
    assert "driver.mp4" in trace
    assert secret.name not in trace
    assert "AF_INET" not in trace


def animation(path: Path, size: tuple[int, int], frames: int) -> Path:
    pictures = [Image.new("P", size, number % 2) for number in range(frames)]
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=20, optimize=False)
    return path


@pytest.mark.parametrize(("size", "frames"), [((17_000, 2_000), 3), ((30, 30), 400)])
def test_small_animations_that_run_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], frames: int
) -> None:
    path = animation(tmp_path / "driver.gif", size, frames)
    if frames > 100:
        monkeypatch.setattr("avatarkit.media.animation.MOST_PIXELS", 300_000)
    began = time.monotonic()
    with pytest.raises(InputError, match=rf"an animation of {frames} frames of .*convert it to a video"):
        probe(path)
    assert time.monotonic() - began < 2


def test_animation_that_takes_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatarkit.media.animation.MOST_SECONDS", 0)
    with pytest.raises(InputError, match="takes more than 0 s"):
        probe(animation(tmp_path / "driver.gif", (30, 30), 50))


def test_16_bit_picture_with_few_of_its_rows_is_not_read_as_whole(tmp_path: Path) -> None:
    rows, width, height = 20, 64, 1000
    raw = zlib.compress(bytes((1 + width * 6) * rows))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", raw), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError):
        read_image(path)
