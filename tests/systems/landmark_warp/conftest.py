"""A painted face whose colours tell what is seen: skin, lips, white of the eye, iris."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.crop import head_crop
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import SourceLayers

from ..conftest import Move, moves_of

SIZE = 512
SKIN, LIPS, WHITE, IRIS = (205, 150, 120), (190, 40, 100), (240, 238, 235), (30, 60, 190)


def polygon(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    cv2.fillPoly(picture, [np.round(points[:, :2] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


@pytest.fixture(scope="module")
def landmarks(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face at 512 px, eyes wide open, irises in their middle, lips just closed."""
    points = head_crop(hopper_landmarks, 512, 600, SIZE).to_crop(hopper_landmarks)
    for upper, lower, centre, rim in zip(
        lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True
    ):
        corners = points[[upper[0], upper[-1]]]
        width = np.linalg.norm(corners[1] - corners[0])
        arch = np.sin(np.linspace(0.0, np.pi, len(upper)))[1:-1]
        along = corners[0] + np.linspace(0, 1, len(upper))[1:-1, None] * (corners[1] - corners[0])
        points[list(upper[1:-1])] = along - arch[:, None] * [0.0, 0.22 * width, 0.0]
        points[list(lower[1:-1])] = along + arch[:, None] * [0.0, 0.14 * width, 0.0]
        points[centre] = corners.mean(0) - [0.0, 0.04 * width, 0.0]
        radius = 0.18 * width
        points[list(rim)] = points[centre] + np.array([[1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]]) * radius
    points[list(lm.INNER_LIP_LOWER)] = points[list(lm.INNER_LIP_UPPER)] + [0.0, 0.5, 0.0]
    return points


@pytest.fixture(scope="module")
def picture(landmarks: np.ndarray) -> np.ndarray:
    """The painted face, RGB (512, 512, 3)."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    for upper, lower, centre, rim in zip(
        lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True
    ):
        ball, iris = picture.copy(), landmarks[centre, :2]
        polygon(ball, landmarks[list(lm.ring(upper, lower))], WHITE)
        radius = np.linalg.norm(landmarks[rim[0], :2] - iris)
        shown = np.hypot(*np.moveaxis(np.mgrid[0:SIZE, 0:SIZE][::-1].T.swapaxes(0, 1) - iris, 2, 0)) < radius
        ball[shown & (np.abs(ball.astype(int) - WHITE).sum(2) < 12)] = IRIS
        picture[:] = ball
    polygon(picture, landmarks[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    return picture


@pytest.fixture(scope="module")
def engine(picture: np.ndarray, landmarks: np.ndarray) -> WarpEngine:
    engine = WarpEngine()
    engine.prepare(SourceLayers(picture, picture, np.ones((SIZE, SIZE), np.float32), landmarks, cut_out=False))
    return engine


@pytest.fixture(scope="module")
def act(landmarks: np.ndarray) -> Move:
    return moves_of(landmarks)


def near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: float) -> np.ndarray:
    return np.linalg.norm(picture.astype(float) - colour, axis=2) < tolerance


def iris_seen(frame: np.ndarray, motion: DriveFrame, eye: int) -> tuple[int, np.ndarray]:
    """Number of iris-coloured pixels around one eye, and their centre of mass (x, y)."""
    corners = motion.landmarks[[lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1]], :2]
    middle, half = corners.mean(0), 0.7 * np.linalg.norm(corners[1] - corners[0])
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    close = (np.abs(x - middle[0]) < half) & (np.abs(y - middle[1]) < half)
    seen = near(frame, IRIS, 70.0) & close
    return int(seen.sum()), np.array([x[seen].mean(), y[seen].mean()]) if seen.any() else np.full(2, np.nan)


def opening(motion: DriveFrame, shrink_px: int) -> np.ndarray:
    """The pixels between the inner lips, without a rim."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    outline = motion.landmarks[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)), :2]
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return cv2.erode(mask, np.ones((2 * shrink_px + 1, 2 * shrink_px + 1), np.uint8)).astype(bool)
