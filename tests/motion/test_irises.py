"""Where irises go: as far as an eye shows them."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import gaze
from avatarkit.motion.irises import GAZE_LIMIT, HIDDEN_MOST, Irises

CHANGES = np.linspace(-0.5, 0.5, 41)


def looks(source: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Where both irises are, along their eyes (N, 2), when both are to move by each of these."""
    result, irises = [], Irises(source)
    for change in along:
        landmarks = source.copy()
        irises.place(landmarks, np.array([[change, 0.0], [change, 0.0]]))
        result.append(gaze(landmarks)[:, 0])
    return np.array(result)


def aside(source: np.ndarray, by: float) -> np.ndarray:
    """The same face looking so many eye widths to one side."""
    turned = source.copy()
    Irises(source).place(turned, np.array([[by, 0.0], [by, 0.0]]))
    return turned


@pytest.mark.parametrize("own", [0.0, -0.2, 0.3])
def test_a_look_is_eased_towards_the_corners_and_none_moves_by_itself(hopper_landmarks: np.ndarray, own: float) -> None:
    source = aside(np.asarray(hopper_landmarks, np.float64), own)
    seen = looks(source, CHANGES)
    assert (np.diff(seen, axis=0) > -1e-9).all()
    np.testing.assert_allclose(looks(source, np.zeros(1))[0], gaze(source)[:, 0], atol=1e-6)
    # What is far from the corners moves as told.
    near = np.abs(seen) < 0.18
    np.testing.assert_allclose(seen[near], (gaze(source)[:, 0] + CHANGES[:, None])[near], atol=0.02)


def test_corners_leave_irises_seen(hopper_landmarks: np.ndarray) -> None:
    source = np.asarray(hopper_landmarks, np.float64)
    far = np.abs(looks(source, np.array([-0.5, 0.5])))
    for eye, (centre, rim) in enumerate(zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)):
        width = np.linalg.norm(np.diff(source[[lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1]], :2], axis=0))
        radius = np.linalg.norm(source[list(rim), :2] - source[centre, :2], axis=1).mean() / width
        assert far[:, eye].max() + radius < 0.5 + (HIDDEN_MOST + 0.05) * radius
        assert far[:, eye].max() <= GAZE_LIMIT + 1e-6
        assert far[:, eye].min() > 0.2
