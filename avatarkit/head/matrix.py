"""The head's pose as one 4 x 4 matrix, free of picture sizes: what the networks see of rotation, place and scale.

Canonical coordinates are (x, y, z) in [-1, 1], the cube of the canonical volume; its origin is that of head
coordinates (head/coordinates.py), between the ears. Normalised picture coordinates are those of a grid with
`align_corners=False`: -1 and 1 are the outer edges of the picture, so norm = (2 px + 1) / size - 1 for pixel centres at
whole numbers. z is measured in the unit of x and is 0 at the head's origin: how far a head is from the camera shows in
its scale alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANONICAL_UNITS = 2.0
"""Head units (about 9 cm each) that half the canonical cube spans: 18 cm from the origin hold hair and chin. A head
whose crop is about 2.5 heads high then has a scale near 1."""

Array = NDArray[np.floating[Any]]


def head_matrix(rotation: Array, translation_px: Array, scale_px: Array | float, size_px: int) -> NDArray[np.float32]:
    """The matrix that takes canonical coordinates to normalised ones: p -> s R p + t.

    Args:
        rotation: (..., 3, 3), from head coordinates to those of the picture.
        translation_px: (..., 3), where the head's origin lies in the picture, in pixels; z is not used.
        scale_px: (...,), pixels per head unit.
        size_px: side of the square picture that the pixels belong to.

    Returns:
        (..., 4, 4) float32. The same head in a resized picture gives the same matrix.
    """
    turn = np.asarray(rotation, np.float64)
    scale = np.asarray(scale_px, np.float64) * CANONICAL_UNITS * 2.0 / size_px
    matrix = np.zeros((*turn.shape[:-2], 4, 4))
    matrix[..., :3, :3] = scale[..., None, None] * turn
    matrix[..., :2, 3] = normalised(np.asarray(translation_px, np.float64)[..., :2], size_px)
    matrix[..., 3, 3] = 1.0
    return matrix.astype(np.float32)


def project(head: Array, points: Array) -> NDArray[np.float64]:
    """Take canonical points (..., N, 3) through matrices (..., 4, 4) to normalised coordinates (..., N, 3)."""
    matrix = np.asarray(head, np.float64)
    result: NDArray[np.float64] = (
        np.asarray(points, np.float64) @ np.swapaxes(matrix[..., :3, :3], -1, -2) + matrix[..., None, :3, 3]
    )
    return result


def canonical(head_units: Array) -> NDArray[np.float64]:
    """Canonical coordinates (..., 3) of points in head coordinates."""
    result: NDArray[np.float64] = np.asarray(head_units, np.float64) / CANONICAL_UNITS
    return result


def normalised(points_px: Array, size_px: int) -> NDArray[np.float64]:
    """Normalised coordinates of pixels (..., 2) in a square picture of `size_px`."""
    result: NDArray[np.float64] = (2.0 * np.asarray(points_px, np.float64) + 1.0) / size_px - 1.0
    return result


def pixels(points: Array, size_px: int) -> NDArray[np.float64]:
    """Pixels of normalised coordinates (..., 2): the inverse of `normalised`."""
    result: NDArray[np.float64] = ((np.asarray(points, np.float64) + 1.0) * size_px - 1.0) / 2.0
    return result


def resized_px(points_px: Array, size_px: int, new_size_px: int) -> NDArray[np.float64]:
    """Where pixels (..., 2 or 3) of a square picture lie after it was resized; z is scaled like x."""
    factor = new_size_px / size_px
    result = np.array(points_px, np.float64)
    result[..., :2] = (result[..., :2] + 0.5) * factor - 0.5
    result[..., 2:] *= factor
    return result
