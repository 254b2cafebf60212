"""An opening between lips that is round where a mouth is wide open: trackers outline it as a lens with two points.

Pictures show the sides of such an opening nearly upright, and lips that taper off there. Drawn as the tracker has it, a
round mouth is a pointed eye in a ring of lip.
"""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import fall

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

POINTED, ROUND = 0.25, 0.6
"""Height of an opening over its width: up to the first lips meet in points, from the second on their edge is round."""
FULLNESS = 0.45
"""Power of an ellipse's height that the edge of a round opening has at least; an ellipse itself has a half."""
LEAST_LIP = 0.5
"""A lip that gives way to the opening keeps this share of its thickness."""
_ROWS = tuple((np.array(rows), sign) for rows, sign in ((lm.UPPER_LIP_ROWS, -1.0), (lm.LOWER_LIP_ROWS, 1.0)))


def with_round_opening(shape: Array, source: Array) -> Array:
    """The shape (478, 3) whose opening between the lips is as round as its height makes it, beyond that of the source.

    Middle and corners of the lips' inner edge and their outline stay; what lies between gives way.
    """
    share = float(_roundness(shape) - _roundness(source))
    if share <= 0.0:
        return shape
    wanted = np.stack([share * _missing(shape, rows, sign) for rows, sign in _ROWS])
    # No part of the opening becomes higher than its middle.
    gap = shape[_ROWS[1][0][-1], 1] - shape[_ROWS[0][0][-1], 1]
    room = np.maximum(gap[len(gap) // 2] - gap, 0.0)
    wanted *= np.minimum(room / np.maximum(wanted.sum(0), 1e-9), 1.0)
    result = shape.copy()
    for (rows, sign), outwards in zip(_ROWS, wanted, strict=True):
        for number, row in enumerate(rows[1:], 1):
            result[row, 1] += sign * outwards * number / (len(rows) - 1.0)
    return result


def _missing(shape: Array, rows: Indices, sign: float) -> Array:
    """How far (11,) a lip's inner edge has to give way, upwards or downwards, until it is round."""
    inner = shape[rows[-1]]
    begin, way = inner[0], inner[-1] - inner[0]
    along = (inner[:, 0] - begin[0]) / way[0] if abs(way[0]) > 1e-6 else np.zeros(len(inner))
    height = sign * (inner[:, 1] - begin[1] - along * way[1])
    full = height[len(height) // 2] * np.clip(4.0 * along * (1.0 - along), 0.0, 1.0) ** FULLNESS
    # Beside the opening the lip lies aside of it, and not above or below.
    lip = np.linalg.norm(shape[rows[0], :2] - inner[:, :2], axis=1)
    lip[[0, -1]] = 0.0
    return np.asarray(np.clip(full - height, 0.0, (1.0 - LEAST_LIP) * lip), np.float64)


def _roundness(shape: Array) -> float:
    """0 of an opening whose corners are points, 1 of a round one."""
    upper, lower = shape[list(lm.INNER_LIP_UPPER), :2], shape[list(lm.INNER_LIP_LOWER), :2]
    return roundness(float((lower[:, 1] - upper[:, 1]).max()), float(np.linalg.norm(upper[-1] - upper[0])))


def roundness(gap: float, width: float) -> float:
    """0 of an opening whose corners are points, 1 of a round one, by its height and width in any unit."""
    return 1.0 - float(fall(gap / max(width, 1e-6), POINTED, ROUND))
