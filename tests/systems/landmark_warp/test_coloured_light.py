"""The light's colour is told where skin and the whites of the eyes both say so."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.systems.landmark_warp.coloured_light import STRONGEST, eye_white, hue_of_light
from avatarkit.systems.landmark_warp.teeth import palette


@pytest.mark.parametrize(
    ("skin", "white"),
    [
        pytest.param((212, 185, 172), (168, 163, 167), id="pale"),
        pytest.param((120, 68, 48), (81, 66, 60), id="dark skin, white eyes"),
        pytest.param((188, 144, 124), (90, 60, 62), id="pale skin, red eyes"),
        pytest.param((126, 130, 132), (92, 96, 99), id="without colours"),
        pytest.param((227, 116, 96), (0, 0, 0), id="no eyes seen"),
    ],
)
def test_white_light(skin: tuple[int, ...], white: tuple[int, ...]) -> None:
    np.testing.assert_allclose(hue_of_light(np.array(skin, float), np.array(white, float)), 1.0)


def test_each_says_how_far_it_leaves_its_usual_colours_and_the_nearer_counts() -> None:
    hue = hue_of_light(np.array([180.0, 100.0, 90.0]), np.array([100.0, 50.0, 50.0]))
    np.testing.assert_allclose(hue[0] / hue[1], 1.8 / 1.5)
    np.testing.assert_allclose(hue[1] / hue[2], 1.0)
    np.testing.assert_allclose(hue.mean(), 1.0)


def test_light_without_blue_has_red_to_spare() -> None:
    """Pale skin in warm light is no redder than darker skin in white light; without red its teeth would be green."""
    hue = hue_of_light(np.array([150.0, 104.0, 65.0]), np.array([160.0, 100.0, 62.5]))
    assert hue[1] / hue[2] == pytest.approx(1.6 / 1.3)
    assert hue[0] / hue[1] == pytest.approx((1.6 / 1.3) ** 0.7)


def test_cold_light() -> None:
    hue = hue_of_light(np.array([80.0, 100.0, 140.0]), np.array([80.0, 100.0, 140.0]))
    assert hue[0] < hue[1] < hue[2]


def test_no_channel_goes_out() -> None:
    hue = hue_of_light(np.array([140.0, 20.0, 1.0]), np.array([140.0, 20.0, 1.0]))
    np.testing.assert_allclose(hue / hue[1], [STRONGEST, 1.0, 1.0 / STRONGEST])


def test_teeth_take_the_colour_of_the_light(picture: np.ndarray, landmarks: np.ndarray) -> None:
    grey = np.asarray(palette(picture, landmarks).teeth, float)
    lit = np.clip(picture * 0.6 * np.array([1.45, 0.9, 0.55]), 0, 255).astype(np.uint8)
    red, green, blue = palette(lit, landmarks).teeth
    assert red / green > 1.2 * grey[0] / grey[1]
    assert green / blue > 1.2 * grey[1] / grey[2]


def test_whites_of_eyes_outside_the_picture_are_black(picture: np.ndarray, landmarks: np.ndarray) -> None:
    np.testing.assert_array_equal(eye_white(picture, landmarks - 2.0 * landmarks[:, :2].max()), 0.0)
    assert eye_white(picture, landmarks).min() > 0.0


def test_teeth_are_not_grey_beside_skin_that_is_all_but_white(picture: np.ndarray, landmarks: np.ndarray) -> None:
    bright = (255 - (255 - picture) * 0.15).astype(np.uint8)
    colours = palette(bright, landmarks)
    assert colours.tones.skin.mean() > 228
    assert colours.teeth.mean() > colours.tones.skin.mean()
