"""The averted half of a driver's face does as the near one: there trackers see little, and draw it out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIRROR
from avatarkit.head.coordinates import head_frame

from .conftest import STILL, Pose, driven, motion_of, with_mouth

Posed = Callable[..., list[np.ndarray]]

LEFT_RING = [346, 340, 347, 372, 446, 265]
"""Below and beside the left eye."""
LEFT_BROW = list(lm.BROWS[1])
SIDES = {1.0: MIRROR[LEFT_RING], -1.0: np.array(LEFT_RING)}
"""By the sign of a turn towards smaller x the ring that it hides."""


def moved(face: np.ndarray, rows: np.ndarray, way: tuple[float, float, float]) -> np.ndarray:
    """The face with some landmarks moved in head units."""
    frame = head_frame(face)
    result = face.copy()
    result[rows] += frame.scale * np.array(way) @ frame.rotation.T
    return result


def change(posed: Posed, faces: list[np.ndarray], yaw_deg: float) -> np.ndarray:
    """What a source's landmarks (478, 3) do, in head units, when a driver turns and its face becomes another."""
    motion = motion_of(posed([STILL] * 9 + [Pose(yaw_deg)] * 9, [faces[0]] * 9 + [faces[1]] * 9))
    frames = driven(motion, faces[0], reference_frame="2")
    shapes = [frames[k].pose.apply_inverse(frames[k].landmarks) for k in (2, 15)]
    return shapes[1] - shapes[0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_averted_cheek_is_not_drawn_out(posed: Posed, frontal: np.ndarray, sign: float) -> None:
    stretched = moved(frontal, SIDES[sign], (-sign * 0.1, -0.06, -0.1))
    far = change(posed, [frontal, stretched], sign * 42.0)[SIDES[sign]]
    assert np.linalg.norm(far, axis=1).max() < 0.02
    seen = change(posed, [frontal, stretched], sign * 15.0)[SIDES[sign]]
    assert np.linalg.norm(seen, axis=1).mean() > 0.07


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_averted_brow_rises_with_the_near_one(posed: Posed, frontal: np.ndarray, sign: float) -> None:
    brows = np.array(LEFT_BROW) if sign > 0.0 else MIRROR[LEFT_BROW]
    raised = change(posed, [frontal, moved(frontal, brows, (0.0, -0.08, 0.0))], sign * 42.0)
    np.testing.assert_allclose(raised[MIRROR[brows], 1].mean(), raised[brows, 1].mean(), rtol=0.25)
    assert raised[brows, 1].mean() < -0.04


def test_the_mouth_of_a_turned_driver_is_its_own(posed: Posed, frontal: np.ndarray) -> None:
    crooked = moved(with_mouth(frontal, 0.15), np.array([lm.OUTER_LIP_UPPER[0]]), (0.0, 0.08, 0.0))
    frontal_view, turned = (change(posed, [frontal, crooked], yaw) for yaw in (0.0, 42.0))
    lips = [*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER]
    np.testing.assert_allclose(turned[lips], frontal_view[lips], atol=0.01)
