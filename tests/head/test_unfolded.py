"""Landmarks of a gaping mouth: the chin's skin lies below the lips, though a tracker leaves it above them."""

from __future__ import annotations

import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.head.unfolded import unfolded

CHIN = (18, 83, 313, 182, 406, 200, 201, 421, 194, 418, 199, 208, 428, 106, 335, 204, 424)
"""Skin between the lower lip and the chin's end."""


def gaping(landmarks: np.ndarray) -> np.ndarray:
    """The face with its lower lip and the chin's end far down, and the skin between them left where it is."""
    pose = head_frame(landmarks)
    shape = pose.apply_inverse(landmarks)
    arch = np.sin(np.linspace(0.0, np.pi, 11))
    for row in lm.LOWER_LIP_ROWS:
        shape[list(row), 1] += 0.4 * arch
    oval = list(lm.FACE_OVAL)
    low = np.clip((shape[oval, 1] - 0.5) / 0.4, 0.0, 1.0)
    shape[oval, 1] += 0.15 * low
    return np.asarray(pose.apply(shape))


def turned_over(landmarks: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Triangles (T, 3) at the chin that lie the wrong way round."""

    def areas(points: np.ndarray) -> np.ndarray:
        a, b, c = (points[triangles[:, k], :2] for k in range(3))
        u, v = b - a, c - a
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    triangles = lm.surface_triangles()
    at_chin = np.isin(triangles, CHIN).any(1)
    return triangles[at_chin & (areas(landmarks) * areas(usual) < 0.0)]


def test_a_face_without_folds_is_left_alone(hopper_landmarks: np.ndarray) -> None:
    np.testing.assert_array_equal(unfolded(hopper_landmarks), hopper_landmarks)


def test_a_chin_that_was_left_behind_lies_below_the_lips(hopper_landmarks: np.ndarray) -> None:
    folded = gaping(hopper_landmarks)
    assert len(turned_over(folded, hopper_landmarks)) > 10
    result = unfolded(folded)
    assert len(turned_over(result, hopper_landmarks)) == 0
    lips = sorted({point for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for point in row})
    np.testing.assert_array_equal(result[[*lips, *lm.FACE_OVAL]], folded[[*lips, *lm.FACE_OVAL]])


def test_it_does_not_matter_how_a_face_lies_in_its_picture(hopper_landmarks: np.ndarray) -> None:
    folded = gaping(hopper_landmarks)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(unfolded(folded @ turn.T), unfolded(folded) @ turn.T, atol=1e-6)
