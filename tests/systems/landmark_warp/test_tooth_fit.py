"""Drawn teeth stand where a source's own are."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.systems.landmark_warp.teeth import UPPER_ARCH, UPPER_TEETH
from avatarkit.systems.landmark_warp.tooth_fit import ToothFit

PER_UNIT = 400.0
ALONG = np.arange(-0.24, 0.24, 1.0 / PER_UNIT)


def row(shift: float, size: float, depth: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Light and cover (h, w) of teeth in the usual proportions, aside by `shift` and larger by `size`."""
    ends = np.concatenate([[0.0], np.cumsum([width for width, _, _ in UPPER_TEETH])])
    light = np.full(len(ALONG), 200.0)
    for end in ends:
        place = UPPER_ARCH * np.sin(min(end / UPPER_ARCH, 1.5))
        for sign in (-1.0, 1.0):
            dark = depth * np.exp(-(((ALONG - shift - sign * size * place) / 0.004) ** 2))
            light -= 200.0 * (dark if end else 0.5 * dark)
    return np.tile(light, (30, 1)).astype(np.float32), np.ones((30, len(ALONG)), np.float32)


@pytest.mark.parametrize(("shift", "size"), [(0.0, 1.0), (0.03, 1.1), (-0.04, 0.92)])
def test_gaps_fall_on_gaps(shift: float, size: float) -> None:
    fit = ToothFit.of(*row(shift, size), ALONG, PER_UNIT)
    assert fit.shift == pytest.approx(shift, abs=0.006)
    assert fit.size == pytest.approx(size, abs=0.04)
    place = np.float32([[shift + 0.1 * size]])
    np.testing.assert_allclose(fit.places(place), 0.1, atol=0.008)


def test_where_no_gap_is_seen_teeth_stand_as_usual() -> None:
    assert ToothFit.of(*row(0.03, 1.1, depth=0.02), ALONG, PER_UNIT) == ToothFit()
    light, cover = row(0.03, 1.1)
    assert ToothFit.of(light, 0.0 * cover, ALONG, PER_UNIT) == ToothFit()


def some_gaps(places: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Light and cover (h, w) of a row that shows gaps at these places alone, and ends beside them."""
    light = np.full(len(ALONG), 200.0)
    for place in places:
        light -= 80.0 * np.exp(-(((ALONG - place) / 0.004) ** 2))
    return np.tile(light, (30, 1)).astype(np.float32), np.tile(np.abs(ALONG) < 0.13, (30, 1)).astype(np.float32)


@pytest.mark.parametrize("places", [(0.03,), (-0.02,), (0.0, 0.1), (-0.02, 0.06)], ids=str)
def test_one_or_two_gaps_do_not_change_the_size(places: tuple[float, ...]) -> None:
    """Teeth would be as wide as any gap could ask for; the nearest gap of usual ones is near one of them."""
    fit = ToothFit.of(*some_gaps(places), ALONG, PER_UNIT)
    assert fit.size == 1.0
    ends = np.cumsum([0.0, *(width for width, _, _ in UPPER_TEETH[:4])])
    drawn = np.concatenate([-ends[:0:-1], ends])
    gaps = fit.shift + UPPER_ARCH * np.sin(drawn / UPPER_ARCH)
    assert min(np.abs(gaps - place).min() for place in places) < 0.006
    assert abs(fit.shift) <= 0.047
