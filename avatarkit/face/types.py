"""What a face tracker returns and which face is meant."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANDMARKS = 478
"""Landmarks of a face: MediaPipe's 468 mesh points, then five for each iris (the right eye first)."""

SMALLEST_SPREAD_PX = 8.0
"""Across landmarks, either way."""


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    landmarks: float32 (478, 3), x, y, z in pixels; z points away from the camera, about 0 at the face.
    box: left, top, right, bottom in pixels: around the mesh.
    score: the detector's confidence, 0 to 1.
    """

    landmarks: NDArray[np.float32]
    box: tuple[float, float, float, float]
    score: float

    @property
    def extent_px(self) -> float:
        """The longer side of the box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        return (self.box[0] + self.box[2]) / 2.0, (self.box[1] + self.box[3]) / 2.0


@dataclass(frozen=True)
class FaceChoice:
    """Which of several faces is meant: by number from left to right (from 0), by a point, or the largest."""

    index: int | None = None
    at: tuple[float, float] | None = None


def check_landmarks(landmarks: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Return landmarks from a file if they can be a face's in a picture of that size; ValueError if not."""
    if landmarks.dtype != np.float32 or landmarks.shape != (LANDMARKS, 3):
        raise ValueError("it has no landmarks")
    # What is cut off at the picture's edge lies beyond it, but not far. NaN fails every comparison.
    if not np.abs(landmarks).max() <= 2 * max(width, height):
        raise ValueError("its landmarks lie nowhere")
    if np.ptp(landmarks[:, :2], axis=0).min() < SMALLEST_SPREAD_PX:
        raise ValueError("its landmarks are no face")
    return landmarks


def face_from_landmarks(landmarks: NDArray[np.floating[Any]], score: float) -> Face:
    """A face with the box of its 468 mesh points."""
    points = np.asarray(landmarks, np.float32)
    low, high = points[:468, :2].min(0), points[:468, :2].max(0)
    return Face(points, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), score)
