"""Openings between lips: round where they are high, pointed where they are low."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.round_lips import LEAST_LIP, POINTED, ROUND, with_round_opening

UPPER, LOWER = np.array(lm.UPPER_LIP_ROWS), np.array(lm.LOWER_LIP_ROWS)


@pytest.fixture
def face(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face in head coordinates, its lips level, 0.1 thick and together."""
    points = np.asarray(hopper_landmarks, np.float64)
    shape = head_frame(points).apply_inverse(points)
    along = np.linspace(-0.2, 0.2, 11)
    for rows, way in ((UPPER, -1.0), (LOWER, 1.0)):
        for number, row in enumerate(rows):
            thick = 0.1 * (3 - number) / 3.0 * (1.0 - (along / 0.25) ** 2)
            shape[row, :2] = np.stack([along, 0.5 + way * thick], axis=1)
    return shape


def lens(face: np.ndarray, height: float) -> np.ndarray:
    """The face with an opening as trackers outline it: straight from the corners to the middle."""
    shape = face.copy()
    tent = 1.0 - np.abs(np.linspace(-1.0, 1.0, 11))
    shape[UPPER, 1] -= 0.5 * height * tent
    shape[LOWER, 1] += 0.5 * height * tent
    return shape


def test_a_low_opening_keeps_its_points(face: np.ndarray) -> None:
    shape = lens(face, 0.99 * POINTED * 0.4)
    np.testing.assert_array_equal(with_round_opening(shape, face), shape)


def test_an_opening_is_rounded_by_what_it_is_more_open_than_the_source(face: np.ndarray) -> None:
    """A gaping photo at rest stays as it is."""
    shape = lens(face, 0.3)
    np.testing.assert_array_equal(with_round_opening(shape, shape), shape)
    half = lens(face, 0.4 * (POINTED + ROUND) / 2.0)
    full, less = with_round_opening(shape, face), with_round_opening(shape, half)
    row = LOWER[-1, [1, 2, 4, 6, 8, 9]]
    np.testing.assert_allclose(less[row, 1] - shape[row, 1], 0.5 * (full[row, 1] - shape[row, 1]), atol=1e-9)


def test_a_round_opening_has_upright_sides_between_lips_that_taper_off(face: np.ndarray) -> None:
    shape = lens(face, 0.3)
    result = with_round_opening(shape, face)
    # A tenth of the width from a corner, a lens is as high as a fifth of its middle; an ellipse has 0.6.
    for rows, way in ((UPPER, -1.0), (LOWER, 1.0)):
        height = way * (result[rows[-1], 1] - 0.5)
        assert height[1] / height[5] == pytest.approx(0.41, abs=0.02)  # stopped by what the lip has to keep
        assert height[2] / height[5] > 0.6
        assert (np.diff(height[:6]) >= 0.0).all()
        before, after = (np.abs(s[rows[0], 1] - s[rows[-1], 1]) for s in (shape, result))
        assert (after >= LEAST_LIP * before - 1e-9).all()
        assert after[2] < 0.7 * before[2]
        # Rows between keep their order and their shares.
        np.testing.assert_allclose(
            result[rows[1], 1] - result[rows[0], 1], (result[rows[-1], 1] - result[rows[0], 1]) / 3.0, atol=1e-9
        )


def test_no_side_is_higher_than_the_middle(face: np.ndarray) -> None:
    """Below an upper lip that rises beside its middle the lower one gives way by less."""
    shape = lens(face, 0.3)
    shape[UPPER[-1, [2, 3, 7, 8]], 1] = 0.5 - 0.14
    result = with_round_opening(shape, face)
    gap = result[LOWER[-1], 1] - result[UPPER[-1], 1]
    assert gap.max() == pytest.approx(gap[5], abs=1e-9)
    assert gap[2] > 0.23


def test_middle_corners_and_outline_stay(face: np.ndarray) -> None:
    shape = lens(face, 0.3)
    result = with_round_opening(shape, face)
    stay = np.setdiff1d(np.arange(478), np.concatenate([UPPER[1:, 1:-1].ravel(), LOWER[1:, 1:-1].ravel()]))
    np.testing.assert_array_equal(result[stay], shape[stay])
    np.testing.assert_array_equal(result[[13, 14]], shape[[13, 14]])
    np.testing.assert_array_equal(result[:, [0, 2]], shape[:, [0, 2]])


def test_a_lip_that_lies_beside_the_opening_gives_way_too(face: np.ndarray) -> None:
    """It is thick there, but not from above to below: a side that stays straight makes a hexagon of the opening."""
    shape = lens(face, 0.3)
    thin, outer = shape.copy(), LOWER[0, [1, 9]]
    thin[outer, 1] = shape[LOWER[-1, [1, 9]], 1] + 0.001
    beside = thin.copy()
    beside[outer, 0] += [-0.06, 0.06]
    inner = LOWER[-1, 1]
    stays, gives = (with_round_opening(s, face)[inner, 1] - s[inner, 1] for s in (thin, beside))
    assert stays < 0.001
    assert gives > 0.02
