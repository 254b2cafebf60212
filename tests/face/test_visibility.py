"""What of a face is covered: dark glasses and masks painted on a real face are seen, the face itself is not covered."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.face.types import Face
from avatarkit.face.visibility import SEEN_EYE, Covered, covered, eye_contrast


@pytest.fixture
def points(dense_face: Face) -> np.ndarray:
    return dense_face.landmarks.astype(np.float64)


def painted(picture: np.ndarray, outline: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    result = picture.copy()
    cv2.fillConvexPoly(result, cv2.convexHull(outline.round().astype(np.int32)), colour)
    return result


def glasses(points: np.ndarray, eye: int) -> np.ndarray:
    ring = points[[*lm.UPPER_CREASES[eye], *lm.LOWER_CREASES[eye]], :2]
    return ring.mean(0) + 1.3 * (ring - ring.mean(0))


def test_bare_faces_are_not_covered(
    astronaut: np.ndarray, points: np.ndarray, grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    assert covered(astronaut, points) == Covered()
    assert covered(grace_hopper, np.asarray(hopper_landmarks, np.float64)) == Covered()


def test_a_mask_covers_the_mouth(astronaut: np.ndarray, points: np.ndarray) -> None:
    lips = points[[*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER], :2]
    mask = lips.mean(0) + 2.2 * (lips - lips.mean(0))
    points[list(lm.INNER_LIP_LOWER)] = points[list(lm.INNER_LIP_UPPER)]
    assert covered(painted(astronaut, mask, (180, 200, 230)), points) == Covered(mouth=True)


def test_dark_glasses_cover_the_eyes(astronaut: np.ndarray, points: np.ndarray) -> None:
    one = painted(astronaut, glasses(points, 0), (25, 22, 22))
    assert covered(one, points) == Covered()
    right, left = eye_contrast(one, points)
    assert right < SEEN_EYE < left
    both = painted(one, glasses(points, 1), (25, 22, 22))
    assert covered(both, points) == Covered(eyes=True)
