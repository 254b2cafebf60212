"""Landmarks of a gaping mouth: the chin's skin lies below the lips, though a tracker leaves it above them."""

from __future__ import annotations

import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import from_euler_deg
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


def test_chins_of_mouths_that_do_not_gape_stay_as_they_are_seen(hopper_landmarks: np.ndarray) -> None:
    """Seen from aside, a corner of the mouth and the skin below it are drawn one over the other: no fold of a gape."""
    pose = head_frame(hopper_landmarks)
    shape = pose.apply_inverse(hopper_landmarks)
    shape[[273, 335, 424, 406]] += [0.05, -0.06, 0.0]
    turned = pose.apply(shape @ from_euler_deg(35.0, 0.0, 0.0).T)
    np.testing.assert_array_equal(unfolded(turned), turned)


def test_what_lacks_little_moves_little(hopper_landmarks: np.ndarray) -> None:
    """Also sideways: not at once all the way to where its column runs."""
    calm = unfolded(gaping(hopper_landmarks))
    pose = head_frame(calm)
    shape = pose.apply_inverse(calm)
    moved, below, aside = 273, 375, 0.05
    shape[moved] += [aside, shape[below, 1] - shape[moved, 1], 0.0]
    change = pose.apply_inverse(unfolded(pose.apply(shape)))[moved] - shape[moved]
    assert 0.01 < change[1] < 0.015
    assert abs(change[0]) < 0.4 * aside


def test_a_mouth_that_opens_wide_is_put_back_without_a_jump(hopper_landmarks: np.ndarray) -> None:
    way = gaping(hopper_landmarks) - hopper_landmarks
    faces = [hopper_landmarks + share * way for share in np.arange(0.0, 1.0, 0.01)]
    unit = head_frame(hopper_landmarks).scale
    changes = np.array([unfolded(face) - face for face in faces]) / unit
    assert np.abs(changes[-1]).max() > 0.1
    assert np.abs(np.diff(changes, axis=0)).max() < 0.02
