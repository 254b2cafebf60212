"""Skin around the lips gives way before them, and the mesh does not fold."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.around_lips import NEAREST, NEAREST_NOSE, AroundLips

TRIANGLES = np.array(lm.surface_triangles())


@pytest.fixture
def face(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face in head coordinates."""
    points = np.asarray(hopper_landmarks, np.float64)
    return head_frame(points).apply_inverse(points)


def folded(shape: np.ndarray) -> float:
    """Area of the triangles around the mouth that face away."""
    corners = shape[TRIANGLES, :2]
    near = (np.abs(corners[..., 0]).max(1) < 0.4) & (corners[..., 1].min(1) > shape[1, 1])
    one, two = corners[near, 1] - corners[near, 0], corners[near, 2] - corners[near, 0]
    return -float(np.minimum(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], 0.0).sum())


def laughing(face: np.ndarray, down: float, up: float) -> np.ndarray:
    """The face with its lips moved apart and all the skin around them left where it is."""
    shape = face.copy()
    arch = np.sin(np.linspace(0.0, np.pi, 11))
    for rows, way in ((lm.LOWER_LIP_ROWS, down), (lm.UPPER_LIP_ROWS, -up)):
        for row in rows:
            shape[list(row), 1] += way * arch
    return shape


@pytest.mark.parametrize(("down", "up"), [(0.15, 0.02), (0.3, 0.05), (0.3, 0.12)])
def test_lips_that_move_over_the_skin_do_not_fold_it(face: np.ndarray, down: float, up: float) -> None:
    shape = laughing(face, down, up)
    assert folded(shape) > 0.002
    assert folded(AroundLips.of(face).given_way(shape)) < 0.03 * folded(shape)


def test_skin_beside_a_wide_mouth_gives_way_sideways(face: np.ndarray) -> None:
    """There lips are upright that lay aslant: skin pushed down alone slides under them."""
    shape = laughing(face, 0.5, 0.08)
    lips = sorted({i for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for i in row})
    shape[lips, 0] += 0.1 * (shape[lips, 0] - shape[13, 0])
    assert folded(AroundLips.of(face).given_way(shape)) < 0.005 * folded(shape)


def test_small_motions_pass_unchanged(face: np.ndarray) -> None:
    around = AroundLips.of(face)
    for shape in (face, laughing(face, -0.01, 0.0)):
        np.testing.assert_array_equal(around.given_way(shape), shape)


def test_skin_is_pushed_and_lips_are_not(face: np.ndarray) -> None:
    shape = laughing(face, 0.3, 0.0)
    given = AroundLips.of(face).given_way(shape)
    lips = [i for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for i in row]
    np.testing.assert_array_equal(given[lips], shape[lips])
    assert given[18, 1] - given[17, 1] > 0.8 * NEAREST * (face[18, 1] - face[17, 1])
    assert given[152, 1] > shape[152, 1]
    eyes = [i for lids in (*lm.UPPER_LIDS, *lm.LOWER_LIDS) for i in lids]
    np.testing.assert_array_equal(given[eyes], shape[eyes])


def test_the_upper_lip_stays_below_the_nose(face: np.ndarray) -> None:
    shape = laughing(face, 0.1, 0.2)
    given = AroundLips.of(face).given_way(shape)
    assert given[0, 1] - given[2, 1] > 0.95 * NEAREST_NOSE * (face[0, 1] - face[2, 1])
    nose = [1, 2, 4, 19, 94, 97, 98, 326, 327, 64, 294]
    np.testing.assert_array_equal(given[nose], shape[nose])
    # Its thickness is its own.
    assert given[13, 1] - given[0, 1] == pytest.approx(shape[13, 1] - shape[0, 1])
