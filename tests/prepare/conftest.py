"""Videos of an animated public-domain photo, set into larger frames; faces that are plain data."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.encode import FrameWriter
from avatarkit.motion.script import Script
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.tools import Tools, open_tools

SIDE, FRAMES, SHOWN = 240, 40, (640, 360)
AT = (200, 60)
"""The driver's side and frames (25 a second), the larger frame's size, and where the driver lies in it."""
SMALL = PrepareConfig(size=128, matting="mediapipe", iqa="sharpness")


def run_ffmpeg(*args: str) -> None:
    """Run ffmpeg with plain arguments."""
    command = [ffmpeg_binary(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *args]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def write_video(path: Path, frames: Sequence[np.ndarray], rate: int = 25) -> Path:
    """Write RGB frames as H.264."""
    from fractions import Fraction

    height, width = frames[0].shape[:2]
    with FrameWriter(path, width=width, height=height, rate=Fraction(rate)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fixtures below."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def talking(studio: Path) -> Path:
    """The talking photo alone: 40 frames of 240 x 240 at 25 a second, with sound."""
    from avatarkit.pipelines.demo import make_driver
    from avatarkit.runtime import NullProgress

    path = studio / "talking.mp4"
    make_driver(path, size=SIDE, script=Script(duration_s=FRAMES / 25), progress=NullProgress())
    return path


@pytest.fixture(scope="session")
def talking_frames(talking: Path) -> list[np.ndarray]:
    """Its frames."""
    from avatarkit.media.decode import FrameReader

    with FrameReader(talking) as reader:
        return list(reader)


@pytest.fixture(scope="session")
def stage(talking: Path, studio: Path) -> Callable[..., Path]:
    """`stage(name, *ffmpeg_output_arguments, at=(x, y), ...)`: the talking photo on a plain 640 x 360 frame.

    at: ffmpeg expressions, n is the frame. when: in which frames it shows. colour: of the ground. look: a filter.
    """

    def make(
        name: str,
        *args: str,
        at: tuple[str | int, str | int] = AT,
        when: str = "1",
        colour: str = "0x405060",
        look: str = "null",
    ) -> Path:
        path = studio / name
        if not path.exists():
            ground = f"color={colour}:s={SHOWN[0]}x{SHOWN[1]}:r=25:d={FRAMES / 25}"
            graph = f"[1:v][0:v]overlay=x='{at[0]}':y='{at[1]}':enable='{when}':shortest=1,{look}"
            run_ffmpeg(
                "-i", str(talking), "-f", "lavfi", "-i", ground, "-filter_complex", graph,
                "-pix_fmt", "yuv420p", "-crf", "16", *args, str(path),
            )  # fmt: skip
        return path

    return make


@pytest.fixture(scope="session")
def framed(stage: Callable[..., Path]) -> Path:
    """The talking photo at rest in the larger frame."""
    return stage("framed.mp4")


@pytest.fixture(scope="session")
def at_rate(framed: Path, studio: Path) -> Callable[[str], Path]:
    """`at_rate("60")`: the framed video at another rate."""

    def make(rate: str) -> Path:
        path = studio / f"rate-{rate.replace('/', '-')}.mp4"
        # By the filter: the option -r lets frames lag by more than one before it drops any.
        run_ffmpeg("-i", str(framed), "-vf", f"fps={rate}", "-crf", "16", str(path))
        return path

    return make


@pytest.fixture(scope="session")
def two_shots(stage: Callable[..., Path], framed: Path, studio: Path) -> Path:
    """The framed video, then the same person elsewhere on white: 80 frames with a cut in the middle."""
    path, second = studio / "two-shots.mp4", stage("second.mp4", at=(20, 100), colour="white")
    graph = "[0:v][1:v]concat=n=2:v=1:a=0"
    run_ffmpeg("-i", str(framed), "-i", str(second), "-filter_complex", graph, "-crf", "16", str(path))
    return path


@pytest.fixture(scope="session")
def tools() -> Iterator[Tools]:
    """The tools of small clips, opened once."""
    opened = open_tools(SMALL)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def face_box(talking_frames: list[np.ndarray], tools: Tools) -> tuple[float, float, float, float]:
    """The face's box in the talking photo's first frame, in pixels."""
    return tools.tracker.detect(talking_frames[0])[0].box
