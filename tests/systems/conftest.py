"""A source portrait cut to 256 px, and known moves of its face."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.crop import cut, head_crop
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.mesh import Cover
from avatarkit.systems.protocol import SourceLayers

# Drawn clips, which the tests of data share.
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

SIZE = 256
Move = Callable[..., DriveFrame]


def rasterised(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Number + 1 of the triangle (T, 3, 3) that each pixel of a frame shows, 0 where there is none."""
    result, cover = np.zeros(shape, np.intp), Cover.of(corners, shape)
    if cover is not None:
        result[cover.window] = cover.numbers
    return result


def ellipse_alpha(landmarks: np.ndarray, size: int) -> np.ndarray:
    """A matte: an ellipse around the head, soft over a few pixels, and shoulders below."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    centre, half = (low + high) / 2.0, (high - low) * [0.75, 0.85]
    y, x = np.mgrid[0:size, 0:size]
    head = np.hypot((x - centre[0]) / half[0], (y - centre[1]) / half[1])
    shoulders = np.hypot((x - centre[0]) / (0.46 * size), (y - 1.15 * size) / (0.36 * size))
    inside = np.maximum(1.0 - head, 1.0 - shoulders)
    return np.clip(inside * 12.0 + 0.5, 0.0, 1.0).astype(np.float32)


@pytest.fixture(scope="session")
def source(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> SourceLayers:
    """The portrait, its mouth closed, as an engine gets it."""
    crop = head_crop(hopper_landmarks, 512, 600, SIZE)
    picture = cut(grace_hopper, crop)
    landmarks = crop.to_crop(hopper_landmarks)
    return SourceLayers(picture, picture, ellipse_alpha(landmarks, SIZE), landmarks)


def without_motion(source: np.ndarray) -> DriveFrame:
    """The frame that shows a face with landmarks (478, 3) as it is."""
    points = np.asarray(source, np.float64)
    return DriveFrame(head_frame(points), points.copy(), np.ones(2), 0)


def moves_of(source: np.ndarray) -> Move:
    """`move(yaw_deg=..., dx=..., mouth=..., lids=..., gaze=...)`: landmarks (478, 3) after a known motion.

    dx, dy in pixels; mouth: how far the lower lip and jaw sink, in head units; lids: share of the lids'
    distance that is left; gaze: shift of both irises in pixels towards larger x, gaze_y downwards.
    """
    own = head_frame(source)

    def make(
        *, yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0, dx: float = 0.0, dy: float = 0.0,
        scale: float = 1.0, mouth: float = 0.0, lids: float = 1.0, gaze: float = 0.0, gaze_y: float = 0.0,
    ) -> DriveFrame:  # fmt: skip
        shape = own.apply_inverse(source)
        sinking = [*lm.INNER_LIP_LOWER[1:-1], *lm.OUTER_LIP_LOWER[1:-1]]
        jaw = np.clip((shape[:468, 1] - shape[sinking, 1].mean()) / 0.2, 0.0, 1.0) * (
            np.abs(shape[:468, 0]) < 0.6
        )
        jaw[[*lm.INNER_LIP_UPPER, *lm.OUTER_LIP_UPPER]], jaw[sinking] = 0.0, 1.0
        shape[:468, 1] += mouth * jaw
        for above, below in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
            high, low = list(above[1:-1]), list(below[1:-1])
            shape[high] = shape[low] + lids * (shape[high] - shape[low])
        pose = Similarity(
            from_euler_deg(yaw_deg, pitch_deg, roll_deg) @ own.rotation,
            own.translation + np.array([dx, dy, 0.0]),
            own.scale * scale,
        )
        landmarks = pose.apply(shape)
        landmarks[468:, :2] += (gaze, gaze_y)
        return replace(without_motion(source), pose=pose, landmarks=landmarks, eye_openness=np.full(2, lids))

    return make


@pytest.fixture(scope="session")
def move(source: SourceLayers) -> Move:
    """Moves of the portrait's face."""
    return moves_of(source.landmarks)
