"""Where to look for faces in a picture: the whole of it first, then ever smaller squares that cover it.

A detector reduces what it is shown to one or two hundred pixels, so that a face of 60 px in a large picture becomes a
speck. Squares bring it back to a size that the detector knows; their number grows with the square of the fineness, so
the fine ones are looked at only where the faces already found leave room for others that matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box

__all__ = [
    "BESIDE", "BESIDE_MOVING", "SMALLEST_FACE_PX", "Pyramid", "affordable_px", "least_px", "sides", "squares",
    "touches",
]  # fmt: skip

SMALLEST_FACE_PX = 60.0
"""Smallest face that a search promises to find, in pixels of the picture."""
BESIDE = 0.1
"""Faces of a smaller share of the largest one are not looked for on purpose."""
BESIDE_MOVING = 0.5
"""The same in videos, where a search costs several frames' time, and a face half as large is not taken for another."""

# Of one level: all that faces of 60 px take in 50 megapixels. Larger pictures are searched for larger faces.
_MOST_SQUARES = 400
# Of a face that was lost, faces of this share of its size are looked for again, and closely.
_SHRUNK = 0.5
# Where no face has been seen yet, a close search costs as much as following for a second.
_CLOSE_EVERY = 12
# Neighbouring squares share this much of their side: more than the largest face that no coarser level has found.
_OVERLAP = 0.3
# Squares are shown to the detector at no less than this, so that it reduces them by a small factor only.
_SHOWN_PX = 400


def least_px(last_px: float | None, missing: int) -> float:
    """How small a face a video's frame is to be searched for.

    Args:
        last_px: the size of the face that was lost, None where there was none yet.
        missing: for how many frames no face has been seen.
    """
    if last_px is not None:
        return max(SMALLEST_FACE_PX, _SHRUNK * last_px)
    return SMALLEST_FACE_PX if missing % _CLOSE_EVERY == 0 else math.inf


def affordable_px(width_px: int, height_px: int, reach: float) -> float:
    """The smallest face that seconds suffice to search a picture of that size for; `reach` as in `sides`."""
    area, longest = width_px * height_px, max(width_px, height_px)
    side = max(math.sqrt(area / _MOST_SQUARES), longest / _MOST_SQUARES) / (1.0 - _OVERLAP)
    return reach * side


def sides(longest_px: int, least_px: float, reach: float) -> list[float]:
    """Sides of the squares of each level, the whole picture first, each at least half of the one before.

    Args:
        longest_px: the picture's longer side.
        least_px: smallest face wanted.
        reach: smallest face that the detector finds reliably, as a share of the side it is shown.
    """
    ratio = longest_px * reach / max(least_px, 1.0)
    count = max(0, math.ceil(math.log2(ratio))) if ratio > 1.0 else 0
    return [longest_px * ratio ** (-level / count) if level else float(longest_px) for level in range(count + 1)]


def squares(width_px: int, height_px: int, side: float) -> Iterator[tuple[int, int, int]]:
    """Squares of a side that cover a picture, as left, top, side in whole pixels."""
    whole = min(math.ceil(side), max(width_px, height_px))
    for top in _starts(height_px, whole):
        for left in _starts(width_px, whole):
            yield left, top, whole


def _starts(length: int, side: int) -> list[int]:
    """Where squares begin along a length: evenly, overlapping by `_OVERLAP` or more; 0 if one is enough."""
    rest = max(0, length - side)
    count = math.ceil(rest / (side * (1.0 - _OVERLAP)))
    return [round(rest * number / max(count, 1)) for number in range(count + 1)]


def touches(box: Box, square: Box, width_px: int, height_px: int) -> bool:
    """Whether a box reaches a side of the square that cuts the picture: half a face, which another square has whole."""
    left, top, right, bottom = square
    return (
        (left > 0 and box[0] - left < 1.0)
        or (top > 0 and box[1] - top < 1.0)
        or (right < width_px and right - box[2] < 1.0)
        or (bottom < height_px and bottom - box[3] < 1.0)
    )


class Pyramid:
    """A picture with copies of half, a quarter, ... of its size, made as they are needed.

    A detector samples bilinearly what it is shown; of a square much larger than its input it would miss most pixels.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._levels = [picture]

    def cut(self, left: int, top: int, side: int) -> NDArray[np.uint8]:
        """The part of the picture inside a square, reduced as long as it stays well above the detector's input."""
        import cv2

        level = max(0, int(math.log2(max(side / _SHOWN_PX, 1.0))))
        while len(self._levels) <= level:
            last = self._levels[-1]
            half = max(1, last.shape[1] // 2), max(1, last.shape[0] // 2)
            even = last[: 2 * half[1], : 2 * half[0]]
            self._levels.append(np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8))
        step = 2**level
        rows = slice(top // step, max(top // step + 1, -(-(top + side) // step)))
        columns = slice(left // step, max(left // step + 1, -(-(left + side) // step)))
        return np.ascontiguousarray(self._levels[level][rows, columns])
