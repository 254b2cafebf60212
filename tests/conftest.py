"""Shared test set-up: the `media` marker and repeatable property tests."""

from __future__ import annotations

import os
import random
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from avatarkit.errors import DependencyError
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, face_from_landmarks
from avatarkit.media.image import read_image

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("AVATARKIT_SHARED") or ROOT.parent / "shared")
MEDIA = SHARED / "media"

# One seed for every run and no deadline: a slow machine must not turn into a failing test.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `media` where the real drivers and portraits are absent."""
    if MEDIA.is_dir():
        return
    skip = pytest.mark.skip(reason="no ../shared/media beside the checkout")
    for item in items:
        if item.get_closest_marker("media"):
            item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let each test, and what is made for it, begin with the same generators, whatever ran in its process before.

    Torch's own begins with another seed in each process.
    """
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The folder of real drivers and portraits; for tests marked `media`."""
    return MEDIA


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """The folder of what others' networks give under `ParityRule`; for tests marked `media`."""
    return SHARED / "facts" / "parity"


class ParityRule:
    """Weights and a picture that anyone can make again, to compare a network with its authors' own."""

    @staticmethod
    def fill(net: nn.Module, gain: float) -> None:
        """Give every tensor values that depend on its key alone."""
        import torch

        values = {}
        for key, tensor in net.state_dict().items():
            draw, shape = np.random.default_rng(zlib.crc32(key.encode())), tuple(tensor.shape)
            if len(shape) >= 2:
                value = draw.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) * gain
            elif key.endswith("num_batches_tracked"):
                value = np.zeros(shape)
            elif key.endswith("running_var"):
                value = draw.uniform(0.5, 1.5, shape)
            elif key.endswith("running_mean"):
                value = 0.1 * draw.standard_normal(shape)
            elif key.endswith("weight"):
                value = draw.uniform(0.8, 1.2, shape)
            else:
                value = 0.05 * draw.standard_normal(shape)
            values[key] = torch.from_numpy(np.asarray(value, np.float32)).to(tensor.dtype)
        net.load_state_dict(values)
        net.eval()

    @staticmethod
    def picture(height: int, width: int) -> np.ndarray:
        """The picture, height x width x 3 float32 in [0, 1]."""
        y, x = np.mgrid[:height, :width].astype(np.float32)
        planes = [np.sin(x / 17 + y / 29), np.cos(x / 11 - y / 23), np.sin(x * y / 5000)]
        return ((np.stack(planes, 2) + 1) / 2).astype(np.float32)


@pytest.fixture(scope="session")
def parity_rule() -> type[ParityRule]:
    """The rule under which others' networks were recorded."""
    return ParityRule


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The top folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """The public-domain photo (NASA) inside scikit-image, RGB uint8 (512, 512, 3); face 92 px wide."""
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture(scope="session")
def grace_hopper_path() -> Path:
    """The public-domain portrait (US Navy) that ships inside matplotlib, 512 x 600, face 189 px wide."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def grace_hopper(grace_hopper_path: Path) -> np.ndarray:
    """That portrait as RGB uint8 (600, 512, 3)."""
    return read_image(grace_hopper_path)


@pytest.fixture(scope="session")
def tracker() -> Iterator[FaceTracker]:
    """One tracker for tests that need landmarks of a real face: with either generation of MediaPipe."""
    try:
        opened = open_tracker()
    except DependencyError as error:
        pytest.skip(str(error))
    with closing(opened):
        yield opened


@pytest.fixture(scope="session")
def hopper_landmarks(tracker: FaceTracker, grace_hopper: np.ndarray) -> np.ndarray:
    """Landmarks (478, 3) of the portrait in its pixels, float64."""
    return tracker.detect(grace_hopper)[0].landmarks.astype(np.float64)


@pytest.fixture(scope="session")
def dense_face(astronaut: np.ndarray, tracker: FaceTracker) -> Face:
    """A face with 478 landmarks: that of the photo."""
    return tracker.detect(astronaut)[0]


@pytest.fixture(scope="session")
def moved() -> Callable[..., Face]:
    """`moved(face, x, y, factor)`: the face enlarged about the picture's corner, then shifted."""

    def move(face: Face, x: float, y: float, factor: float = 1.0) -> Face:
        return face_from_landmarks(face.landmarks * factor + np.array([x, y, 0.0]), face.score)

    return move
