"""What of a mouth is a row of teeth: breaks, spots, both rows, and openings that show next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.geometry.similarity import Similarity
from avatarkit.systems.landmark_warp.own_mouth import OwnMouth
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane

SCALE = 300.0
TEETH, DARK = (200, 195, 185), (50, 22, 22)
MIDDLE = 150
"""The column of the middle of the mouth, and the row of the line of its lips is 100."""


def painted(edge: np.ndarray | float, light: np.ndarray | float = 1.0, gap: float = 0.12) -> np.ndarray:
    """A dark mouth (200, 300, 3) between skin whose upper teeth end at `edge` head units and have such a light.

    edge, light: (300,) along the columns, or for all.
    """
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    first, last = round(100 - 0.3 * gap * SCALE), round(100 + 0.7 * gap * SCALE)
    picture[first:last] = DARK
    rows = np.arange(200)[:, None]
    shown = (rows >= first) & (rows < 100 + SCALE * np.broadcast_to(edge, 300))
    colours = np.broadcast_to(light, 300)[:, None] * np.array(TEETH)
    picture[shown] = np.broadcast_to(np.clip(colours, 0, 255), (200, 300, 3))[shown].astype(np.uint8)
    return picture


def mouth(picture: np.ndarray, gap: float = 0.12, flat: bool = False, aside: float = 0.0) -> OwnMouth:
    """The mouth in a picture: 0.5 head units wide, lips in an arch or all but straight; aside of the head's middle."""
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([MIDDLE - aside * SCALE, 100.0, 0.0]), SCALE), np.zeros(3))
    s = np.linspace(-0.25, 0.25, 11)
    arch = 1.0 - np.abs(s / 0.25) ** (12 if flat else 2)
    s = s + aside
    top, bottom = (np.stack([s, share * gap * arch], axis=1) for share in (-0.3, 0.7))
    return OwnMouth(picture, plane, top, bottom, np.ones(3))


def columns(left: float, right: float) -> np.ndarray:
    """Which columns (300,) lie between two places along the mouth."""
    place = (np.arange(300) - MIDDLE) / SCALE
    return (place >= left) & (place < right)


def cover(own: OwnMouth, s: float, d: float) -> float:
    """How far the own teeth cover a place."""
    colours = np.zeros((1, 1, 3), np.float32)
    own.lay_upper(colours, np.full((1, 1), s, np.float32), np.full((1, 1), d, np.float32), 1.0)
    return float(colours.max())


def test_a_row_goes_on_beyond_a_missing_tooth() -> None:
    """There it shows what is seen, as far down as its neighbours reach."""
    edge = np.where(columns(-0.19, 0.19) & ~columns(0.04, 0.1), 0.03, -1.0)
    own = mouth(painted(edge))
    np.testing.assert_allclose(own.ends, (-0.19, 0.19), atol=0.02)
    assert cover(own, 0.15, 0.01) > 150.0
    assert 20.0 < cover(own, 0.07, 0.01) < 80.0
    assert cover(own, 0.07, 0.05) < 1.0


@pytest.mark.parametrize(
    ("left", "right", "edge", "light"),
    [(0.17, 0.19, 0.03, 1.0), (0.15, 0.19, 0.03, 0.5), (0.12, 0.19, -0.015, 1.0)],
    ids=["narrow", "dim", "higher"],
)
def test_what_lies_aside_and_is_no_tooth_stays_out(left: float, right: float, edge: float, light: float) -> None:
    aside = columns(left, right)
    picture = painted(np.where(columns(-0.15, 0.08), 0.05, np.where(aside, edge, -1.0)), np.where(aside, light, 1.0))
    assert mouth(picture, flat=True).ends[1] == pytest.approx(0.08, abs=0.02)


def test_what_lies_far_aside_stays_out() -> None:
    picture = painted(np.where(columns(-0.19, 0.01) | columns(0.14, 0.19), 0.03, -1.0))
    assert mouth(picture).ends[1] == pytest.approx(0.01, abs=0.02)


@pytest.mark.parametrize("places", [(0.02,), (-0.06, 0.02), (-0.12, -0.04, 0.05)], ids=str)
def test_wet_spots_cut_no_tooth(places: tuple[float, ...]) -> None:
    """They are far lighter than the teeth, which are so dim that beside them they would be none."""
    edge = np.where(columns(-0.19, 0.19), 0.05, -1.0)
    plain = mouth(painted(edge, 0.5))
    wet = np.any([columns(at - 0.017, at + 0.017) for at in places], axis=0)
    spot = mouth(painted(edge, np.where(wet, 1.28, 0.5)))
    np.testing.assert_allclose(spot.ends, plain.ends, atol=0.01)
    assert spot.edge == pytest.approx(0.05, abs=0.01)
    for s in np.linspace(-0.14, 0.14, 15):
        assert cover(plain, s, 0.02) > 80.0
        assert cover(spot, s, 0.02) > 80.0, s
    assert plain.teeth is not None
    assert spot.teeth is not None
    np.testing.assert_allclose(spot.teeth, plain.teeth, atol=8)


@pytest.mark.parametrize("light", [0.85, 1.0, 1.3])
def test_lower_teeth_behind_a_shallow_line_are_not_taken_along(light: float) -> None:
    """Where rows meet it is not dark but dim; the lower one may be the lighter one."""
    picture = painted(np.where(columns(-0.19, 0.19), 0.084, -1.0), 0.7)
    picture[108:124, columns(-0.19, 0.19)] = np.clip(0.7 * light * np.array(TEETH), 0, 255).astype(np.uint8)
    picture[105:109, columns(-0.19, 0.19)] = (0.45 * np.array(TEETH)).astype(np.uint8)
    own = mouth(picture)
    assert own.edge == pytest.approx(7.0 / SCALE, abs=0.012)
    for s in (-0.1, 0.0, 0.1):
        assert cover(own, s, 0.0) > 100.0
        assert cover(own, s, 0.05) < 1.0
    np.testing.assert_allclose(own.teeth, 0.7 * np.array(TEETH), atol=10)


def test_of_teeth_that_are_seen_aside_alone_the_nearest_tell_where_they_end() -> None:
    own = mouth(painted(np.where(columns(-0.1, 0.15), -0.005, -1.0)), aside=0.2)
    assert own.teeth is not None
    assert own.edge == pytest.approx(-0.005, abs=0.008)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("gap", [0.031, 0.036, 0.045])
def test_teeth_between_lips_that_are_hardly_parted_are_seen(gap: float, flat: bool) -> None:
    """There are fewer rows of pixels between them than steps in which they are looked through."""
    own = mouth(painted(np.where(columns(-0.19, 0.19), 0.4 * gap, -1.0), gap=gap), gap, flat)
    assert own.teeth is not None
    assert own.edge == pytest.approx(0.4 * gap, abs=0.006)
    np.testing.assert_allclose(own.teeth, TEETH, atol=25)


@pytest.mark.parametrize("gap", [0.014, 0.02, 0.031, 0.05, 0.12])
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4])
def test_of_the_thinnest_strip_all_is_known_or_nothing(gap: float, rows: int) -> None:
    """A strip that is too thin to tell from a wet lip is none: no colour, no edge, and drawn teeth take its place."""
    own = mouth(painted(np.where(columns(-0.19, 0.19), rows / SCALE - 0.3 * gap, -1.0), gap=gap), gap)
    seen = own.teeth is not None
    assert seen == (own.edge is not None)
    assert seen == (cover(own, 0.0, rows / SCALE - 0.3 * gap - 0.004) > 20.0 and own.share(gap) > 0.0)
    if not seen:
        assert (own.ends, own.row, own.stays, own.height, own.share(gap)) == ((0.0, 0.0), False, False, 0.0, 0.0)
