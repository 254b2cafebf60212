"""The arch of the teeth seen aslant: what stands where, and what is out of sight."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.systems.landmark_warp.teeth import HALF_WIDTH, UPPER_ARCH
from avatarkit.systems.landmark_warp.tooth_plane import FARTHEST, ToothPlane

REST = np.array([0.0, 0.5, -0.4])


def plane(yaw_deg: float, pitch_deg: float = 0.0) -> ToothPlane:
    turn = from_euler_deg(yaw_deg, pitch_deg, 0.0)
    return ToothPlane.of(Similarity(turn, np.array([200.0, 150.0, 0.0]), 180.0), REST)


def seen(stands: np.ndarray, turned: ToothPlane) -> tuple[np.ndarray, np.ndarray]:
    """Places in the plane of teeth that stand on the arch, all at one height."""
    back = UPPER_ARCH - np.sqrt(UPPER_ARCH**2 - stands**2)
    return (stands + turned.behind[0] * back).astype(np.float32), (turned.behind[1] * back).astype(np.float32)


@pytest.mark.parametrize("yaw_deg", [-40.0, -15.0, 0.0, 30.0])
@pytest.mark.parametrize("pitch_deg", [0.0, 12.0])
def test_teeth_in_sight_are_found_where_they_stand(yaw_deg: float, pitch_deg: float) -> None:
    turned = plane(yaw_deg, pitch_deg)
    outline = UPPER_ARCH / np.hypot(1.0, turned.behind[0])
    far = 0.99 * min(outline, FARTHEST * UPPER_ARCH)
    stands = np.linspace(-far, far, 41)[None]
    found, height = turned.on_arch(*seen(stands, turned))
    np.testing.assert_allclose(found, stands, atol=2e-4)
    np.testing.assert_allclose(height, 0.0, atol=2e-4)


@pytest.mark.parametrize("yaw_deg", [-35.0, 35.0])
def test_nothing_stands_beyond_the_outline_of_the_averted_side(yaw_deg: float) -> None:
    turned = plane(yaw_deg)
    slant = turned.behind[0]
    outline = UPPER_ARCH * (np.hypot(1.0, slant) - abs(slant))
    away = -np.sign(slant)
    s = away * np.array([[outline - 0.004, outline + 0.02, outline + 0.1]], np.float32)
    found, _ = turned.on_arch(s, np.zeros_like(s))
    assert abs(found[0, 0]) < UPPER_ARCH
    assert (away * found[0, 1:] > HALF_WIDTH).all()
