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
from avatarkit.media.gif import gif_frames
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
    assert time.monotonic() - began < 45


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
    began = time.thread_time()
    with pytest.raises(InputError, match=rf"an animation of {frames} frames of .*convert it to a video"):
        probe(path)
    assert time.thread_time() - began < 10


def test_animation_that_takes_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatarkit.media.animation.MOST_SECONDS", 0)
    with pytest.raises(InputError, match="takes more than 0 s"):
        probe(animation(tmp_path / "driver.gif", (30, 30), 50))


def deep_png(path: Path, width: int, height: int, *, interlaced: bool, kept: float) -> Path:
    """A white 16-bit PNG of whose packed rows a share is there."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    raw = b""
    for left, top, across, down in passes if interlaced else ((0, 0, 1, 1),):
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        raw += (b"\0" + b"\xff" * (columns * 6)) * rows if columns else b""
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, int(interlaced))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw[: int(len(raw) * kept)])), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("width", "height"), [(64, 1000), (3, 5)])
def test_16_bit_picture_with_few_of_its_rows_is_not_read_as_whole(
    tmp_path: Path, interlaced: bool, width: int, height: int
) -> None:
    assert read_image(deep_png(tmp_path / "whole.png", width, height, interlaced=interlaced, kept=1.0)).min() == 255
    with pytest.raises(InputError):
        read_image(deep_png(tmp_path / "part.png", width, height, interlaced=interlaced, kept=0.9))


def test_frames_of_a_gif_are_counted_without_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = animation(tmp_path / "driver.gif", (30, 30), 40)
    assert gif_frames(path) == 40
    cut = path.read_bytes()[:-200]
    path.write_bytes(cut)
    assert 35 < gif_frames(path) < 40
    monkeypatch.setattr("avatarkit.media.gif.MOST_SECONDS", -1)
    with pytest.raises(InputError, match="convert it to a video"):
        probe(path)


def test_large_picture_is_decoded_without_a_second_one(tmp_path: Path) -> None:
    """Pillow holds four bytes a pixel, the result three; the picture is turned on the way."""
    path = tmp_path / "large.png"
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (5000, 4000), (1, 2, 3)).save(path, compress_level=1, exif=exif)
    script = (
        "import sys; from pathlib import Path; from avatarkit.media.image import read_image\n"
        "from avatarkit.runtime import peak_memory_bytes\n"
        "read_image(Path(sys.argv[2])); before = peak_memory_bytes()\n"
        "picture = read_image(Path(sys.argv[1])); print(peak_memory_bytes() - before, *picture.shape)"
    )
    small = animation(tmp_path / "small.gif", (30, 30), 1)
    done = subprocess.run([sys.executable, "-c", script, str(path), str(small)], check=True, capture_output=True)
    more, *shape = map(int, done.stdout.split())
    assert shape == [5000, 4000, 3]
    assert more < 11 * 20_000_000
