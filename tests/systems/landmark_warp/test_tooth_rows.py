"""Drawn rows of teeth: each a body of its own, darker to the sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.systems.landmark_warp.teeth import LOWER_TEETH, UPPER_TEETH, Palette, Row, lower_row, palette, upper_row


@pytest.fixture(scope="module")
def colours(picture: np.ndarray, landmarks: np.ndarray) -> Palette:
    return palette(picture, landmarks)


@pytest.mark.parametrize(("row", "teeth"), [(upper_row, UPPER_TEETH), (lower_row, LOWER_TEETH)], ids=["upper", "lower"])
def test_teeth_are_apart_and_darker_to_the_sides(
    colours: Palette, row: Callable[[Palette], Row], teeth: tuple[tuple[float, float, float], ...]
) -> None:
    width = teeth[0][0]
    places = np.float32([[-width / 2, 0.0, width / 2, 0.21]])
    light = row(colours).at(places, np.full_like(places, -0.05))[0].mean(2)[0]
    assert light[1] < 0.55 * light[[0, 2]].min()
    assert light[3] < 0.85 * light[[0, 2]].min()


def test_a_tooth_is_round(colours: Palette) -> None:
    """Lightest in its middle, darker to its neighbours and to its neck."""
    width = UPPER_TEETH[0][0]
    places = np.float32([[0.2, 0.5, 0.85], [0.2, 0.5, 0.85]]) * np.float32(width)
    beyond = np.float32([[-0.05] * 3, [-0.09] * 3])
    light = upper_row(colours).at(places, beyond)[0].mean(2)
    assert light[0, 2] < 0.89 * light[0, 1]
    assert light[1, 1] < 0.85 * light[0, 1]
