"""A short driver with sound, made by animating one public-domain photo; whole jobs as functions."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from avatarkit.face.types import FaceChoice
from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image, write_image
from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver
from avatarkit.pipelines.motion import extract_motion
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.report import ReenactReport
from avatarkit.runtime import NullProgress

RATE, FRAMES, SIZE = Fraction(30000, 1001), 25, 256
Run = Callable[..., ReenactReport]


class Notices(NullProgress):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.stages: list[tuple[str, int | None]] = []
        self.units: dict[str, str] = {}
        self.done = 0

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        self.stages.append((name, total))
        self.units[name] = unit
        self.done = 0

    def advance(self, count: int = 1) -> None:
        self.done += count

    def notice(self, text: str) -> None:
        self.notices.append(text)


def run_ffmpeg(*args: str) -> bytes:
    command = [ffmpeg_binary(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *args]
    return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout


def frames_of(path: Path) -> list[np.ndarray]:
    """All frames of a video or of a folder of PNGs; a folder's keep their fourth channel."""
    if path.is_dir():
        pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(path.iterdir())]
        channels = [2, 1, 0] if pictures[0].shape[2] == 3 else [2, 1, 0, 3]
        return [picture[:, :, channels] for picture in pictures]
    with FrameReader(path) as reader:
        return list(reader)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fixtures below."""
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="session")
def driver(workshop: Path) -> Path:
    """25 frames at 30000/1001, 256 px, with sound."""
    path = workshop / "driver.mp4"
    script = Script(duration_s=float(FRAMES / RATE), rate=RATE, gaze=0.5)
    make_driver(path, size=SIZE, script=script, progress=NullProgress())
    return path


@pytest.fixture(scope="session")
def motion_file(driver: Path, workshop: Path) -> Path:
    """The driver's motion."""
    path = workshop / "driver.motion"
    extract_motion(
        driver, path, face=FaceChoice(), on_missing="interpolate", overwrite=False, progress=NullProgress()
    )
    return path


@pytest.fixture(scope="session")
def photo(astronaut: np.ndarray, workshop: Path) -> Path:
    """A photo as driver."""
    path = workshop / "photo.png"
    write_image(path, np.ascontiguousarray(astronaut[:320, 60:380]))
    return path


@pytest.fixture(scope="session")
def framed(grace_hopper: np.ndarray, workshop: Path) -> Path:
    """The portrait, reduced, in the middle of a larger wall, 800 x 700."""
    wall = np.zeros((700, 800, 3), np.uint8)
    wall[:] = np.linspace(60, 160, 800).astype(np.uint8)[None, :, None]
    small = cv2.resize(grace_hopper, (256, 300), interpolation=cv2.INTER_AREA)
    wall[150:450, 250:506] = small
    path = workshop / "framed.png"
    write_image(path, wall)
    return path


@pytest.fixture(scope="session")
def run(grace_hopper_path: Path, driver: Path) -> Run:
    """`run(output, **options)` reenacts the portrait with the driver at 256 px."""

    def make(output: Path, *, progress: Any = None, **options: Any) -> ReenactReport:
        values = {"source": grace_hopper_path, "driver": driver, "size": SIZE, **options}
        return reenact(ReenactConfig(output=output, **values), progress or NullProgress())

    return make


@pytest.fixture
def short_path_for_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder for Ray's sockets alone, wherever temporary files lie: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture(scope="session")
def own_picture(grace_hopper_path: Path) -> np.ndarray:
    """The portrait as read from its file."""
    return read_image(grace_hopper_path)
