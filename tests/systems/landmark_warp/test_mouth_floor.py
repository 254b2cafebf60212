"""The tongue is one body between dark cheeks, without an outline where it goes into the throat."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.systems.landmark_warp.mouth_floor import DIM, TONGUE, MouthFloor
from avatarkit.systems.landmark_warp.teeth import Palette
from avatarkit.systems.landmark_warp.tones import Tones

CAVITY, FLESH = 20.0, 120.0


@pytest.fixture(scope="module")
def floor() -> MouthFloor:
    dark, flesh = np.full(3, CAVITY, np.float32), np.full(3, FLESH, np.float32)
    coloured = Tones(flesh, 1.0, np.zeros(3), np.ones(3))
    teeth = np.full(3, 220.0, np.float32)
    return MouthFloor.of(Palette(coloured, np.ones(3), teeth, dark, flesh, flesh, flesh, flesh))


def light(floor: MouthFloor, aside: float, up: float | np.ndarray, gap: float = 0.5) -> np.ndarray:
    heights = np.atleast_1d(np.asarray(up, np.float32))[:, None]
    return floor.at(np.full_like(heights, aside), heights, np.full_like(heights, gap))[:, 0].mean(1)


def test_light_falls_on_its_front_and_beside_it_lies_flesh_in_the_shade(floor: MouthFloor) -> None:
    """Black all around makes a disc of it."""
    middle = light(floor, 0.0, 0.35)[0]
    assert middle > 0.8 * FLESH
    for aside, up in ((1.2 * TONGUE, 0.2), (-1.2 * TONGUE, 0.2), (1.4 * TONGUE, 0.4), (0.0, 0.0)):
        assert 2.0 * CAVITY < light(floor, aside, up)[0] < 0.72 * middle, (aside, up)
    assert light(floor, 0.0, 0.98)[0] < 0.3 * middle


def test_nothing_outlines_it_towards_the_throat(floor: MouthFloor) -> None:
    """From its middle upwards it darkens slowly: an edge there makes a disc of it."""
    column = light(floor, 0.03, np.linspace(0.4, 0.95, 56))
    assert np.abs(np.diff(column)).max() < 0.05 * FLESH


def test_lips_that_are_hardly_apart_let_in_little_light(floor: MouthFloor) -> None:
    assert light(floor, 0.0, 0.35, gap=0.05)[0] == pytest.approx(DIM * light(floor, 0.0, 0.35)[0], rel=0.02)
