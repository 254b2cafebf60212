"""Clips made with ffmpeg's own sources, so that the tests need no media in the repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.media.binary import encoders, ffmpeg_binary, ffmpeg_build
from avatarkit.media.probe import probe

ClipMaker = Callable[..., Path]
LEVELS = 40  # frames of the counting clip
REAL_MEDIA = Path(__file__).resolve().parents[2] / ".." / "shared" / "media"


def run_ffmpeg(*args: str) -> bytes:
    """Run ffmpeg with plain arguments and return its stdout."""
    command = [ffmpeg_binary(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *args]
    return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """`make_clip(name, *ffmpeg_arguments)` makes a clip once; `needs` names the encoder it takes."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, *args: str, needs: str = "libx264") -> Path:
        if needs not in encoders():
            pytest.skip(f"this ffmpeg has no {needs}")
        path = folder / name
        if not path.exists():
            run_ffmpeg(*args, f"file:{path}")
        return path

    return make


H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def turned(clip: Path, angle: str) -> tuple[str, ...]:
    """Arguments that copy a clip and mark it to be shown turned, counter-clockwise by `angle` degrees."""
    if (ffmpeg_build().major or 99) >= 6:
        return ("-display_rotation", angle, "-i", f"file:{clip}", "-c", "copy")
    return ("-i", f"file:{clip}", "-c", "copy", "-metadata:s:v:0", f"rotate={int(angle) % 360}")


def source(rate: str = "25", frames: int = 50, size: str = "128x96") -> tuple[str, ...]:
    """Arguments for a moving test picture of so many frames."""
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}", "-frames:v", str(frames))


def tone(seconds: float = 2) -> tuple[str, ...]:
    """Arguments for a sine tone as a further input."""
    return ("-f", "lavfi", "-t", str(seconds), "-i", "sine=frequency=440:sample_rate=44100")


def skip_where_ffmpeg_crashes(path: Path) -> None:
    """Some static builds of ffmpeg crash on any transport stream."""
    try:
        probe(path)
    except InputError as error:
        if "ended by signal" not in str(error):
            raise
        pytest.skip(f"this ffmpeg crashes on {path.suffix} files")


@pytest.fixture(scope="session")
def clip(make_clip: ClipMaker) -> Path:
    """Two seconds at 25 frames a second with sound, H.264 and AAC, index first."""
    return make_clip(
        "plain.mp4", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=2", *tone(2), *H264,
        "-movflags", "+faststart",
    )  # fmt: skip


@pytest.fixture(scope="session")
def ntsc_clip(make_clip: ClipMaker) -> Path:
    """60 frames at 30000/1001 frames a second without sound."""
    return make_clip("ntsc.mp4", *source("30000/1001", 60), *H264)


@pytest.fixture(scope="session")
def variable_clip(make_clip: ClipMaker) -> Path:
    """60 time slots at 30 frames a second of which every third has no frame of its own; starts at 0.2 s."""
    return make_clip(
        "variable.mp4", *source("30", 40),
        "-vf", r"setpts=(N*3/2+mod(N\,2)/2)/30/TB+0.2/TB", "-enc_time_base", "1/600",
        "-fps_mode", "vfr", *H264,
    )  # fmt: skip


@pytest.fixture(scope="session")
def truncated_clip(make_clip: ClipMaker, clip: Path) -> Path:
    """The plain clip cut off at two thirds of its bytes."""
    path = clip.with_name("truncated.mp4")
    data = clip.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth RGB picture, uint8 H x W x 3, with another value at every corner."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def counting_clip(make_clip: ClipMaker) -> Path:
    """40 grey frames at 25 frames a second whose brightness is 20 + 5 x index."""
    return make_clip(
        "counting.mp4", "-f", "lavfi", "-i",
        "color=black:size=64x48:rate=25,format=rgb24,geq=r='20+5*N':g='20+5*N':b='20+5*N'",
        "-frames:v", str(LEVELS), *H264, "-crf", "0", "-bf", "2", "-g", "12",
    )  # fmt: skip


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and that nobody asked for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except ProcessLookupError:
        return False


def sleeper(folder: Path, before: str = "") -> str:
    """A program in place of ffmpeg that hangs."""
    script = folder / "ffmpeg-that-hangs"
    script.write_text(f"#!/bin/sh\n{before}\nexec sleep 60\n")
    script.chmod(0o755)
    return str(script)
