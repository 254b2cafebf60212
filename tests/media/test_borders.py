"""Borders around a picture are told from plain backgrounds."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.media.borders import NONE, Borders, plain_borders

SHAPE = (120, 90, 3)


@pytest.fixture
def busy() -> np.ndarray:
    """A picture without any row or column of one colour."""
    return np.random.default_rng(0).integers(40, 200, SHAPE, np.uint8)


def framed(picture: np.ndarray, sides: Borders, colour: tuple[int, int, int]) -> np.ndarray:
    """The picture with borders of a colour laid around it."""
    height, width = (length + extra for length, extra in zip(picture.shape, _extra(sides), strict=False))
    result = np.full((height, width, 3), colour, np.uint8)
    result[sides.within(height, width)] = picture
    return result


def _extra(sides: Borders) -> tuple[int, int]:
    return sides.top + sides.bottom, sides.left + sides.right


@pytest.mark.parametrize(
    "sides",
    [
        Borders(7, 9, 11, 30),
        pytest.param(Borders(0, 40, 0, 40), id="letterboxed"),
        pytest.param(Borders(30, 0, 30, 0), id="a tall picture in a wide one"),
    ],
)
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0)])
def test_a_border_is_found_with_its_mixed_edge(busy: np.ndarray, sides: Borders, colour: tuple[int, int, int]) -> None:
    found = plain_borders(framed(busy, sides, colour))
    # One row or column of the picture goes with it: an edge that is enlarged or compressed is mixed.
    assert found.sides == tuple(side + 1 if side else 0 for side in sides.sides)


def test_a_border_with_noise_and_a_soft_edge(busy: np.ndarray) -> None:
    picture = framed(busy, Borders(10, 10, 10, 10), (250, 250, 250)).astype(np.float32)
    picture[:, 9] = 0.7 * picture[:, 9] + 0.3 * picture[:, 11]
    noise = np.random.default_rng(1).normal(0.0, 1.5, picture.shape)
    found = plain_borders(np.clip(picture + noise, 0, 255).astype(np.uint8))
    assert all(10 <= side <= 12 for side in found.sides)


def test_a_line_within_a_border_goes_too(busy: np.ndarray) -> None:
    lined = framed(framed(busy, Borders(2, 2, 2, 2), (255, 255, 255)), Borders(9, 9, 9, 9), (0, 0, 0))
    assert min(plain_borders(lined).sides) >= 11


def test_no_border(busy: np.ndarray) -> None:
    assert plain_borders(busy) == NONE
    assert plain_borders(np.full(SHAPE, 255, np.uint8)) == NONE


def test_a_head_before_a_plain_wall_stays_whole() -> None:
    """The wall's first row that is not plain has hair in its middle alone."""
    y, x = np.mgrid[:200, :200]
    picture = np.full((200, 200, 3), 245, np.uint8)
    picture[((x - 100) ** 2 + (y - 110) ** 2 < 60**2) | (y > 200 - (60 - np.abs(x - 100)) / 3)] = (90, 60, 50)
    assert plain_borders(picture) == NONE


def test_a_ceiling_stays(busy: np.ndarray) -> None:
    assert plain_borders(framed(busy, Borders(top=30), (240, 240, 240))) == NONE


def test_borders_are_no_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="narrower than nothing"):
        Borders(left=-1)
