"""Videos written: exact rate, true and tagged colour, sound in sync, and nothing left behind after an
error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import OutputError, UsageError
from avatarkit.media import ffmpeg as ffmpeg_module
from avatarkit.media.binary import encoders, ffmpeg_binary
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import LARGE_PX, FrameWriter, takes_planes
from avatarkit.media.ffmpeg import failure_reason
from avatarkit.media.image import read_image_rgba
from avatarkit.media.output import pending_output
from avatarkit.media.probe import probe
from avatarkit.media.yuv import yuv420

from .conftest import alive, run_ffmpeg, sleeper

NTSC = Fraction(30000, 1001)
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def write(
    path: Path, frames: int = 10, *, rate: Fraction = NTSC, shape: tuple[int, int] = (48, 64), **options
) -> FrameWriter:  # type: ignore[no-untyped-def]
    """Write grey frames that get brighter."""
    height, width = shape
    with FrameWriter(path, width=width, height=height, rate=rate, **options) as writer:
        for index in range(frames):
            channels = 4 if options.get("alpha") else 3
            writer.write(np.full((height, width, channels), 20 + 5 * index % 200, np.uint8))
    return writer


def describe(path: Path) -> str:
    """What ffmpeg says about a file."""
    return subprocess.run(
        [ffmpeg_binary(), "-hide_banner", "-nostdin", "-i", f"file:{path}"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr


def test_planes_are_written_as_the_frames_they_are_of(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3)).astype(np.uint8)
    for name in ("frames.mp4", "planes.mp4"):
        with FrameWriter(tmp_path / name, width=64, height=48, rate=NTSC) as writer:
            for frame in frames:
                if name == "frames.mp4":
                    writer.write(frame)
                else:
                    writer.write_planes(yuv420(frame))
            with pytest.raises(ValueError, match="planes must be"):
                writer.write_planes(yuv420(frames[0])[:-1])
    assert (tmp_path / "frames.mp4").read_bytes() == (tmp_path / "planes.mp4").read_bytes()


def test_who_takes_planes(tmp_path: Path) -> None:
    assert all(takes_planes(tmp_path / f"o{suffix}") for suffix in SUFFIXES)
    assert not takes_planes(tmp_path / "folder")
    assert not takes_planes(tmp_path / "o.mov", "prores")
    assert not takes_planes(tmp_path / "o.webm", alpha=True)
    with FrameWriter(tmp_path / "o.mov", width=64, height=48, rate=NTSC, codec="prores") as writer:
        with pytest.raises(ValueError, match="planes must be"):
            writer.write_planes(np.zeros(64 * 48 * 3 // 2, np.uint8))
        writer.write(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", [NTSC, Fraction(25), Fraction(24000, 1001), Fraction(100, 3)])
def test_rate_and_count_are_exact(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    writer = write(tmp_path / f"o{suffix}", 40, rate=rate)
    video = probe(tmp_path / f"o{suffix}").video
    assert video is not None
    assert (video.rate, video.variable_rate, video.frames, video.start) == (rate, False, 40, 0)
    assert (writer.frames, writer.audio) == (40, "none")
    assert [p.name for p in tmp_path.iterdir()] == [f"o{suffix}"]


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [(".mp4", "hevc", "hevc"), (".mp4", "av1", "av1"), (".mov", "prores", "prores"), (".mkv", "vp9", "vp9")],
)
def test_codecs(tmp_path: Path, suffix: str, codec: str, name: str) -> None:
    needed = {"hevc": "libx265", "av1": "libsvtav1", "prores": "prores_ks", "vp9": "libvpx-vp9"}[codec]
    if needed not in encoders():
        pytest.skip(f"this ffmpeg has no {needed}")
    write(tmp_path / f"o{suffix}", 5, codec=codec, shape=(64, 64))
    video = probe(tmp_path / f"o{suffix}").video
    assert video is not None
    assert (video.codec, video.frames, video.matrix) == (name, 5, "bt709")


PATCHES = [
    (200, 30, 60),
    (30, 160, 40),
    (20, 40, 220),
    (224, 172, 140),
    (128, 128, 128),
    (255, 255, 255),
    (0, 0, 0),
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_survive(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o{suffix}"
    picture = np.repeat(np.array([PATCHES], np.uint8), 32, 1).repeat(32, 0)
    with FrameWriter(path, width=picture.shape[1], height=32, rate=Fraction(25), crf=8) as writer:
        for _ in range(3):
            writer.write(picture)
    with FrameReader(path) as reader:
        back = next(reader)
    for index, colour in enumerate(PATCHES):
        np.testing.assert_allclose(back[16, 32 * index + 16], colour, atol=3)


def test_picture_is_bt709_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    red = np.zeros((32, 32, 3), np.uint8)
    red[...] = (255, 0, 0)
    with FrameWriter(path, width=32, height=32, rate=Fraction(25), crf=0) as writer:
        writer.write(red)
    raw = run_ffmpeg("-i", f"file:{path}", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    # BT.709 limited range: Y = 16 + 219 x 0.2126, Cb = 128 - 224 x 0.2126 / 1.8556, Cr = 128 + 224 / 2
    np.testing.assert_allclose([raw[0], raw[32 * 32], raw[32 * 32 + 256]], (62.6, 102.3, 240), atol=1.1)
    assert re.search(r"yuv420p\(tv, bt709(/bt709/bt709)?[,)]", describe(path))
    assert "h264" in describe(path)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_metadata(tmp_path: Path) -> None:
    entries = {
        "comment": "synthetic: made by avatarkit",
        "title": "a=b 'c' \"d\" ; größe",
        "avatarkit_engine": "warp 1",
    }
    for suffix in SUFFIXES:
        write(tmp_path / f"o{suffix}", 2, metadata=entries)
        text = describe(tmp_path / f"o{suffix}")
        for key, value in entries.items():
            assert re.search(rf"^ +{key} *: {re.escape(value)}$", text, re.MULTILINE | re.IGNORECASE), text


@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mkv"])
def test_alpha_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o{suffix}"
    frame = np.zeros((64, 64, 4), np.uint8)
    frame[...] = (200, 30, 60, 255)
    frame[:, 32:, 3] = 0
    frame[:, :16, 3] = 128
    with FrameWriter(path, width=64, height=64, rate=Fraction(25), alpha=True) as writer:
        for _ in range(3):
            writer.write(frame)
    decoder = () if suffix == ".mov" else ("-c:v", "libvpx-vp9")
    raw = run_ffmpeg(*decoder, "-i", f"file:{path}", "-f", "rawvideo", "-pix_fmt", "rgba", "-")
    back = np.frombuffer(raw, np.uint8).reshape(-1, 64, 64, 4)
    assert len(back) == 3
    np.testing.assert_allclose(back[0, 32, [8, 24, 48], 3], (128, 255, 0), atol=6)
    np.testing.assert_allclose(back[0, 32, 24, :3], (200, 30, 60), atol=6)


def test_alpha_folder(tmp_path: Path) -> None:
    folder = tmp_path / "100% frames"
    folder.mkdir()
    frame = np.random.default_rng(0).integers(0, 256, (33, 45, 4), np.uint8)
    with FrameWriter(folder, width=45, height=33, rate=Fraction(25), alpha=True) as writer:
        for _ in range(3):
            writer.write(frame)
    assert sorted(p.name for p in folder.iterdir()) == ["000000.png", "000001.png", "000002.png"]
    rgb, alpha = read_image_rgba(folder / "000002.png")
    assert alpha is not None
    np.testing.assert_array_equal(rgb, frame[..., :3])
    np.testing.assert_array_equal(np.rint(alpha * 255), frame[..., 3])


# Refusals and failures


def test_odd_sides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="65 x 48: both sides must be even"):
        FrameWriter(tmp_path / "o.mp4", width=65, height=48, rate=NTSC)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("o.mp4", {"alpha": True}, "cannot hold transparency"),
        ("o.mp4", {"codec": "vp9"}, "takes h264"),
        ("o.webm", {"codec": "h264"}, "takes vp9"),
        ("o.mp4", {"crf": 99}, "crf 99"),
        ("o.mp4", {"preset": "warp"}, "preset 'warp'"),
        ("frames", {"codec": "h264"}, "holds PNGs"),
    ],
)
def test_bad_options(tmp_path: Path, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FrameWriter(tmp_path / name, width=64, height=48, rate=NTSC, **options)  # type: ignore[arg-type]


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.avi; use \.mp4"):
        FrameWriter(tmp_path / "o.avi", width=64, height=48, rate=NTSC)


def test_wrong_frame_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="frame must be uint8"),
        FrameWriter(tmp_path / "o.mp4", width=64, height=48, rate=NTSC) as writer,
    ):
        writer.write(np.zeros((48, 65, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_leaves_nothing(clip: Path, tmp_path: Path, error: type[BaseException]) -> None:
    writer = FrameWriter(tmp_path / "o.mp4", width=64, height=48, rate=NTSC, audio_from=clip)
    child = writer._child

    def fail_midway() -> None:
        with writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
            raise error

    with pytest.raises(error):
        fail_midway()
    assert child is not None
    assert not alive(child.pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stem", ["n" * 251, "東" * 83 + "ab"])
def test_the_longest_legal_names(clip: Path, tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.mp4"
    assert len(os.fsencode(path.name)) == 255
    with pending_output(path, overwrite=False) as temporary:
        assert write(temporary, 5, audio_from=clip).audio == "copied"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_writer_left_is_swept(clip: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, numpy as np\nfrom fractions import Fraction\nfrom avatarkit.media.encode import FrameWriter\n"
        "from avatarkit.media.output import pending_output\n"
        "with pending_output(sys.argv[1], overwrite=False) as path:\n"
        "    writer = FrameWriter(path, width=64, height=48, rate=Fraction(25), audio_from=sys.argv[2])\n"
        "    writer.write(np.zeros((48, 64, 3), np.uint8))\n"
        "    print(writer._child.pid, flush=True)\n    os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "o.mp4"
    killed = subprocess.run([sys.executable, "-c", code, path, clip], check=False, timeout=300, stdout=subprocess.PIPE)
    assert killed.returncode == -9
    until = time.monotonic() + 60
    while alive(int(killed.stdout)) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(list(tmp_path.iterdir())) == 2  # the output, and the picture without its sound
    with pending_output(path, overwrite=False) as temporary:
        write(temporary, 5, audio_from=clip)
    assert [found.name for found in tmp_path.iterdir()] == ["o.mp4"]


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no frame"),
        FrameWriter(tmp_path / "o.mp4", width=64, height=48, rate=NTSC),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_full_disk_gives_the_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device") as caught:
        write(path, 300, shape=(480, 640))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write(tmp_path / "none" / "o.mp4", 200, shape=(480, 640))


def test_hung_encoder_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoders()
    real = ffmpeg_binary()
    script = sleeper(tmp_path, f'case "$*" in *-encoders*) exec "{real}" "$@";; esac')
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: script)
    with pytest.raises(OutputError, match=r"no data for 0\.4 s"):
        write(tmp_path / "o.mp4", 10, shape=(1024, 1024), timeout_s=0.4)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ffmpeg")]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (["[mp4 @ 0x55] Could not write header", "[out#0 @ 0x5] Error muxing: No space left on device",
          "Conversion failed!"], "Error muxing: No space left on device"),
        (["[libx264 @ 0x1] height not divisible by 2 (5x5)", "Error initializing output stream"],
         "Error initializing output stream"),
        ([], "ffmpeg gave no reason"),
    ],
)  # fmt: skip
def test_failure_reason(log: list[str], reason: str) -> None:
    assert failure_reason(log) == reason


def test_large_frames_are_all_written_though_few_wait(tmp_path: Path) -> None:
    """Of those beyond `LARGE_PX` ffmpeg may hold fewer; the file is the same as any."""
    frame = np.zeros((1700, 2400, 3), np.uint8)
    assert frame.shape[0] * frame.shape[1] > LARGE_PX
    with FrameWriter(tmp_path / "o.mp4", width=2400, height=1700, rate=Fraction(25), preset="ultrafast") as writer:
        for number in range(24):
            frame[100 * (number % 8) :, :, number % 3] = 10 * number
            writer.write(frame)
    video = probe(tmp_path / "o.mp4").video
    assert video is not None
    assert (video.width, video.height, video.frames) == (2400, 1700, 24)
