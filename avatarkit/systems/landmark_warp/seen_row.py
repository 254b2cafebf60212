"""What of a picture of a mouth is a row of teeth: its light, its columns, and the line where two rows meet."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

PER_UNIT = 400.0
"""Pixels of the picture to a head unit (about 9 cm); lengths below are in head units."""
DARK = 0.6
"""Inside a mouth, what is darker than this share of its light parts is no tooth."""
BUMP = 0.03
"""What hangs down from a row of teeth and is narrower than this is no tooth: a wet spot of the lip, or one below. Nor
is what stands alone."""
BREAK, STEP = 0.11, 0.05
"""A row goes on beyond a break that is no wider than a tooth, missing or dark, where its edge steps by no more and what
lies there is not dark beside it."""
SPOT, WET = 0.045, 1.25
"""What is narrower than this and lighter than what lies to both sides is a wet spot, not the light of teeth. So many
times as light it has not their colour either."""
BITE, ANY_DIP = 0.86, 0.95
"""Rows that meet leave a line between them that has less than the first share of the light of either, and less than the
second where it is seen at all."""


def without_spots(light: Pixels) -> Pixels:
    """Light (h, w) without what is narrow and lighter than what lies to both sides."""
    import cv2

    across = np.ones((1, 2 * round(SPOT * PER_UNIT / 2.0) + 1), np.uint8)
    return np.asarray(cv2.morphologyEx(cv2.GaussianBlur(light, (0, 0), 1.5), cv2.MORPH_OPEN, across), np.float32)


def in_a_row(columns: NDArray[np.intp], edge: Pixels, light: Pixels) -> NDArray[np.intp]:
    """Those of the columns (N,) that show teeth, rising, which form a row; the longest run of them is of it.

    Args:
        edge, light: (w,) where the teeth of each column of the picture end, and how light they are.
    """
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    longest = max(runs, key=len)
    if not len(longest):
        return columns
    dark = DARK * np.median(light[longest])
    runs = [run for run in runs if run is longest or (len(run) >= BUMP * PER_UNIT and np.median(light[run]) > dark)]
    first = last = next(number for number, run in enumerate(runs) if run is longest)

    def joined(left: NDArray[np.intp], right: NDArray[np.intp]) -> bool:
        step = np.median(edge[right[:8]]) - np.median(edge[left[-8:]])
        return bool(right[0] - left[-1] <= BREAK * PER_UNIT and abs(step) <= STEP * PER_UNIT)

    while first > 0 and joined(runs[first - 1], runs[first]):
        first -= 1
    while last + 1 < len(runs) and joined(runs[last], runs[last + 1]):
        last += 1
    return np.concatenate(runs[first : last + 1])


def dip(light: Array) -> int | None:
    """Where light (N,) is low between two parts that are lighter by far; None where it nowhere is."""
    share = _of_either(light[:, None])[:, 0]
    lowest = int(np.argmin(share))
    return lowest if share[lowest] < BITE else None


def line_near(light: Pixels, near: NDArray[np.bool_]) -> Array | None:
    """Rows (w,) where light (h, w) dips, of what is near (h, w), as a smooth line; None without."""
    import cv2

    share = np.where(near, _of_either(np.where(near, light, 0.0)), 1.0)
    columns = np.flatnonzero(share.min(0) < ANY_DIP)
    if not len(columns):
        return None
    line = np.interp(np.arange(light.shape[1]), columns, share.argmin(0)[columns]).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(line[None], (0, 0), 4.0)[0], np.float64)


def _of_either(light: NDArray[np.floating[Any]]) -> Array:
    """Light (h, w) over the lesser of the most that is above and the most that is below."""
    above, below = np.maximum.accumulate(light), np.maximum.accumulate(light[::-1])[::-1]
    return np.asarray(light / np.maximum(np.minimum(above, below), 1.0), np.float64)
