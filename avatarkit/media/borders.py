"""Plain borders, as prints, screenshots and letterboxed stills have them: they are no part of what a picture shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

EVEN_LEVELS, EVEN = 6, 0.98
"""Rows and columns of a border are of one colour to so many levels, in such a share of their pixels."""
OTHER_LEVELS, OTHER = 16, 0.5
"""The first ones of the picture are another colour by so many levels in such a share: where hair or a shoulder begins
before a plain wall, few of them are."""
MIXED_PX = 6
"""So many rows and columns beside a border may be mixed with it."""
WIDEST = 0.45
"""A border at most, as a share of the picture's side."""
FRAMES = 3
"""Borders are looked for within each other, so often."""
SIDES = 2
"""A border on a single side may be a ceiling, or half of a background of two colours."""


@dataclass(frozen=True)
class Borders:
    """Rows and columns at each side that do not belong to what a picture shows."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        if min(self.sides) < 0:
            raise ValueError("a border cannot be narrower than nothing")

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def within(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns inside, of a picture of that size."""
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)


NONE = Borders()


def plain_borders(picture: Picture) -> Borders:
    """The borders of a picture, RGB uint8 (H, W, 3); none where fewer than two sides have one."""
    height, width = picture.shape[:2]
    found = NONE
    for _ in range(FRAMES):
        one = _outermost(picture[found.within(height, width)])
        if not any(one.sides):
            break
        found = Borders(*map(sum, zip(found.sides, one.sides, strict=True)))
    return found


def _outermost(picture: Picture) -> Borders:
    # Corners belong to bars above and below, or to both.
    top, bottom = _depth(picture), _depth(picture[::-1])
    across = picture[top : len(picture) - bottom].swapaxes(0, 1)
    found = Borders(_depth(across), top, _depth(across[::-1]), bottom)
    return found if np.count_nonzero(found.sides) >= SIDES else NONE


def _depth(picture: Picture) -> int:
    """Rows of the border above, and of what is mixed with it."""
    colour = np.median(picture[0].astype(np.float32), axis=0)
    # Row by row, since few pictures have any.
    for depth in range(int(WIDEST * len(picture))):
        if np.mean(_off(picture[depth], colour) <= EVEN_LEVELS) < EVEN:
            break
    else:
        return 0
    if depth == 0:
        return 0
    for number, row in enumerate(picture[depth : depth + MIXED_PX], depth + 1):
        if np.mean(_off(row, colour) > OTHER_LEVELS) >= OTHER:
            return number
    return 0


def _off(row: Picture, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.abs(row.astype(np.float32) - colour).max(-1), np.float32)
