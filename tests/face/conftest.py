"""Tracker factories, the protocol in synthetic form, and faces without pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit.face.types import Face, face_from_landmarks
from avatarkit.weights import cache, load, lock

Place = tuple[float, float, float]
SHARED = Path(os.environ.get("AVATARKIT_SHARED") or Path(__file__).resolve().parents[3] / "shared")
BUNDLE_NAME = "face-landmarker"


def landmarker_bundle() -> Path:
    """MediaPipe's bundle: from the weights' cache, else from ../shared; skips the test where it is in neither."""
    if load.present(BUNDLE_NAME):
        return cache.path_of(lock.get(BUNDLE_NAME))
    path = SHARED / "weights" / "face_landmarker_v2_with_blendshapes.task"
    if not path.is_file():
        pytest.skip(f"no bundle for MediaPipe Tasks: avatarkit weights fetch {BUNDLE_NAME}")
    return path


# Where the bundle is in the cache, its tests do not need ../shared.
needs_bundle = () if load.present(BUNDLE_NAME) else (pytest.mark.media,)


def face_of(landmarks: np.ndarray, place: Place) -> Face:
    """The face `landmarks` moved so that its box has its centre at (x, y) and the given longer side."""
    face = face_from_landmarks(landmarks, 0.9)
    x, y, size = place
    scale = size / face.extent_px
    moved = (landmarks - [*face.centre, 0.0]) * scale + [x, y, 0.0]
    return face_from_landmarks(moved, 0.9)


class FakeTracker:
    """A tracker that is told what it sees: `script[n]` holds the places (x, y, size) of the faces in frame n.

    The frame's number is in its first pixel. Following finds a face within half its size from where it was.
    """

    name = "fake 1"

    def __init__(self, landmarks: np.ndarray, script: list[list[Place]]) -> None:
        self.landmarks, self._script = landmarks, script
        self.searched: list[int] = []
        self.followed: list[int] = []

    def detect(self, picture: np.ndarray, **search: float) -> tuple[Face, ...]:
        number = int(picture[0, 0, 0])
        self.searched.append(number)
        return tuple(face_of(self.landmarks, place) for place in sorted(self._script[number]))

    def follow(self, frame: np.ndarray, last: Face) -> Face | None:
        number = int(frame[0, 0, 0])
        self.followed.append(number)
        for place in self._script[number]:
            face = face_of(self.landmarks, place)
            if np.hypot(*np.subtract(face.centre, last.centre)) < 0.5 * last.extent_px:
                return face
        return None

    def glance(self, part: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
        return ()

    def close(self) -> None:
        """Nothing to release."""


@pytest.fixture
def fake(hopper_landmarks: np.ndarray) -> Callable[[list[list[Place]]], FakeTracker]:
    """`fake(script)` makes a FakeTracker."""
    return lambda script: FakeTracker(hopper_landmarks, script)


def plain_frames(count: int) -> list[np.ndarray]:
    """Grey frames (64, 64, 3) with their number in the first pixel."""
    frames = [np.full((64, 64, 3), 120, np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[0, 0] = number
    return frames
