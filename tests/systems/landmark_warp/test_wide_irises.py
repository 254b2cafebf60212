"""Irises of drawn figures are wider than trackers of people say, and move whole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.head.coordinates import head_frame
from avatarkit.systems.landmark_warp.eye_frame import EyePatch
from avatarkit.systems.landmark_warp.wide_irises import Disc, wide_irises

SKIN, WHITE, BLUE, RING, BLACK = (220, 180, 150), (230, 230, 225), (90, 150, 200), (30, 50, 80), (10, 10, 10)
TRACKED = Disc(np.array([0.01, -0.05]), 0.21)


def drawn(picture: np.ndarray, landmarks: np.ndarray, radius: float, aside: float = 0.0) -> EyePatch:
    """An eye with a large pupil and a dark ring around a bright iris of so many eye widths."""
    patch = EyePatch.cut(picture, landmarks, 0, head_frame(landmarks).scale)
    pixels = np.full_like(patch.pixels, SKIN)
    middle = np.round(16 * patch.per_width * (TRACKED.middle + np.array([0.8 + aside, 0.55]))).astype(int).tolist()
    whole = round(16 * patch.per_width * radius)
    cv2.ellipse(pixels, middle, (round(8 * patch.per_width), whole), 0, 0, 360, WHITE, -1, cv2.LINE_AA, 4)
    for share, colour in ((1.0, RING), (0.85, BLUE), (0.55, BLACK)):
        cv2.circle(pixels, middle, round(share * whole), colour, -1, cv2.LINE_AA, 4)
    return patch.with_pixels(pixels)


@pytest.mark.parametrize(("radius", "aside"), [(0.27, 0.0), (0.31, 0.03)])
def test_wide_irises_are_found(picture: np.ndarray, landmarks: np.ndarray, radius: float, aside: float) -> None:
    for disc in wide_irises([drawn(picture, landmarks, radius, aside)] * 2, [TRACKED] * 2):
        assert disc.radius == pytest.approx(radius, abs=0.02)
        np.testing.assert_allclose(disc.middle, TRACKED.middle + np.array([aside, 0.0]), atol=0.015)


def test_what_is_as_tracked_stays(picture: np.ndarray, landmarks: np.ndarray) -> None:
    usual, wide = drawn(picture, landmarks, 0.21), drawn(picture, landmarks, 0.3)
    for patches in ([usual] * 2, [usual, wide], [wide, usual]):
        assert wide_irises(patches, [TRACKED] * 2) == [TRACKED] * 2


def test_light_that_goes_on_rising_has_no_edge(picture: np.ndarray, landmarks: np.ndarray) -> None:
    patch = EyePatch.cut(picture, landmarks, 0, head_frame(landmarks).scale)
    radii = np.linalg.norm(patch.local - TRACKED.middle, axis=2) / TRACKED.radius
    light = 20.0 + 200.0 * (np.clip(radii - 0.7, 0.0, 1.5) / 1.5) ** 2
    patches = [patch.with_pixels(np.repeat(light[..., None], 3, axis=2).astype(np.float32))] * 2
    assert wide_irises(patches, [TRACKED] * 2) == [TRACKED] * 2
