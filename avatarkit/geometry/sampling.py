"""Looking up pictures at positions between pixels."""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", NDArray[np.uint8], NDArray[np.float32])


def sample(values: Values, points: NDArray[np.floating[Any]], *, mirrored: bool = False) -> Values:
    """Values (H, W) or (H, W, C <= 4) at points (h, w, 2), x and y in pixels, bilinear.

    Outside of the picture its edge is repeated, or with `mirrored` the picture itself, turned over.
    """
    import cv2

    border = cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_REPLICATE
    grid: Any = np.asarray(points, np.float32)
    if not grid.size:  # nothing is asked for: OpenCV takes that for a mistake
        return cast(Values, np.empty((*grid.shape[:2], *values.shape[2:]), values.dtype))
    none: Any = None
    return cast(Values, cv2.remap(values, grid, none, cv2.INTER_LINEAR, borderMode=border))


def sample_at(values: Values, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> Values:
    """As `sample`, at points that are given by x (h, w) and y (h, w)."""
    import cv2

    if not x.size:
        return cast(Values, np.empty((*x.shape, *values.shape[2:]), values.dtype))
    columns, rows = np.asarray(x, np.float32), np.asarray(y, np.float32)
    return cast(Values, cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
