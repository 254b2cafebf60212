"""Shared test set-up: the `media` marker and repeatable property tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.media.image import read_image

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT.parent / "shared" / "media"

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


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The folder of real drivers and portraits; for tests marked `media`."""
    return MEDIA


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
def tracker() -> Iterator[MediaPipeTracker]:
    """One tracker for tests that need landmarks of a real face."""
    with closing(MediaPipeTracker()) as tracker:
        yield tracker


@pytest.fixture(scope="session")
def hopper_landmarks(tracker: MediaPipeTracker, grace_hopper: np.ndarray) -> np.ndarray:
    """Landmarks (478, 3) of the portrait in its pixels, float64."""
    return tracker.detect(grace_hopper)[0].landmarks.astype(np.float64)
