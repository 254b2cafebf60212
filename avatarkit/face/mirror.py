"""Which landmark is which in a picture turned over left to right.

MediaPipe counts the landmarks of the person's right half and of the midline first, then those of the left half in
the same order. So the midline says all: it was found on the mean of 28 portraits in head coordinates, and the
triangles between the points confirm each pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIDLINE = (
    0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200,
)  # fmt: skip
"""Landmarks that stand for themselves."""

_FIRST_LEFT, _MESH = 248, 468
_IRISES = ((468, 473), (469, 476), (470, 475), (471, 474), (472, 477))


def _table() -> NDArray[np.int64]:
    right = [point for point in range(_FIRST_LEFT) if point not in MIDLINE]
    pairs = np.array([*zip(right, range(_FIRST_LEFT, _MESH), strict=True), *_IRISES])
    table = np.arange(_MESH + 2 * len(_IRISES))
    table[pairs] = pairs[:, ::-1]
    table.setflags(write=False)
    return table


MIRROR = _table()
"""(478,): landmark `i` of a mirrored picture is landmark `MIRROR[i]` of the picture."""


def mirrored(landmarks: NDArray[np.floating[Any]], width: int) -> NDArray[np.floating[Any]]:
    """Landmarks (478, 2 or 3), pixels, as they lie in the picture of this width turned over."""
    turned = landmarks[MIRROR].copy()
    turned[:, 0] = width - 1 - turned[:, 0]
    return turned
