"""Changes of a face's shape: lids, lips, proportions."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.reshape import MOST_CLOSING, closing_lips, region_weights, with_lids, with_lips_apart

UPPER, LOWER = list(lm.INNER_LIP_UPPER), list(lm.INNER_LIP_LOWER)


@pytest.fixture
def face(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face in head coordinates, its lips brought together."""
    points = np.asarray(hopper_landmarks, np.float64)
    shape = head_frame(points).apply_inverse(points)
    middle = (shape[UPPER] + shape[LOWER]) / 2.0
    shape[UPPER], shape[LOWER] = middle, middle
    return shape


def opened(face: np.ndarray, height: float) -> np.ndarray:
    """The face with its lower inner lip dropped by up to `height` head units in the middle."""
    shape = face.copy()
    arch = np.sin(np.linspace(0.0, np.pi, len(LOWER)))
    shape[LOWER, 1] += height * arch
    return shape


def gap(shape: np.ndarray) -> float:
    return float((shape[LOWER, 1] - shape[UPPER, 1]).max())


def test_open_lips_close_when_the_drivers_are_closed(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    source = opened(face, 0.1)
    closed = source + closing_lips(source, face, mouth)
    assert gap(closed) == pytest.approx(0.0, abs=1e-9)
    # Nothing but the mouth's region moves: the eyes stay where they are.
    assert np.array_equal(closed[list(lm.UPPER_LIDS[0])], source[list(lm.UPPER_LIDS[0])])


def test_lips_keep_the_opening_that_the_driver_has_too(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    source = opened(face, 0.1)
    assert not closing_lips(source, opened(face, 0.12), mouth).any()
    half = source + closing_lips(source, opened(face, 0.04), mouth)
    assert gap(half) == pytest.approx(0.04, abs=1e-9)


def test_a_scream_closes_only_as_far_as_the_picture_allows(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    source = opened(face, 0.5)
    assert gap(source + closing_lips(source, face, mouth)) == pytest.approx(0.5 - MOST_CLOSING, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_lids_stand_at_the_given_share(face: np.ndarray, share: float) -> None:
    shape = with_lids(face, face, np.array([share, 1.0]))
    for eye, expected in ((0, share), (1, 1.0)):
        upper, lower = list(lm.UPPER_LIDS[eye][1:-1]), list(lm.LOWER_LIDS[eye][1:-1])
        np.testing.assert_allclose(shape[upper] - shape[lower], expected * (face[upper] - face[lower]), atol=1e-12)


def test_crossing_lips_meet_half_way(face: np.ndarray) -> None:
    shape = face.copy()
    shape[UPPER[1:-1], 1] += 0.02
    met = with_lips_apart(shape)
    np.testing.assert_allclose(met[UPPER[1:-1], 1], face[UPPER[1:-1], 1] + 0.01)
    np.testing.assert_allclose(met[LOWER[1:-1], 1], met[UPPER[1:-1], 1])
