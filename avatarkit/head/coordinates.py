"""Head coordinates: the shape of a face free of its pose, and the few numbers that describe its expression.

Origin between the ears, x to the person's left (right in the picture), y down, z away from the camera; the unit
is the distance between the outer eye corners of an average face, about 9 cm.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.similarity import Similarity

Array = NDArray[np.float64]


UNITS_PER_SPREAD = 1.545
"""Distance of the outer eye corners over the RMS spread of the rigid landmarks, mean of 16 portraits. The spread
is the unit that is measured: over a talking driver it varies by 0.02 %, the corners' distance by 1 %."""

_USED = np.array([*lm.RIGID, *lm.MIDLINE_BOTTOM])


def _sums() -> Array:
    """Weights (4, used landmarks): left less right, bottom less top, between the ears, middle of the rigid ones."""
    place = {number: column for column, number in enumerate(_USED.tolist())}
    weights = np.zeros((4, len(place)))
    for right, left in lm.TWINS:
        weights[0, place[left]] += 1.0
        weights[0, place[right]] -= 1.0
    for row, numbers, sign in (
        (1, lm.MIDLINE_BOTTOM, 1.0),
        (1, lm.MIDLINE_TOP, -1.0),
        (2, lm.EARS, 1.0),
        (3, lm.RIGID, 1.0),
    ):
        weights[row, [place[number] for number in numbers]] += sign / len(numbers)
    return weights


# As one product: every frame of every video comes through here.
_SUMS = _sums()


def head_frame(points: NDArray[np.floating[Any]]) -> Similarity:
    """The similarity from head coordinates to those of landmarks (478, 3), from the landmarks' own symmetry.

    x is the mean direction from each right landmark to its left twin, y that from the forehead to the nose.
    """
    used = np.asarray(points, np.float64)[_USED]
    x, y, ears, middle = _SUMS @ used
    x /= np.linalg.norm(x)
    y -= x * (y @ x)
    y /= np.linalg.norm(y)
    away = used[: len(lm.RIGID)] - middle
    spread = float(np.sqrt((away * away).sum() / len(away)))
    return Similarity(np.stack([x, y, np.cross(x, y)], axis=1), ears, UNITS_PER_SPREAD * spread)


@dataclass(frozen=True)
class FaceState:
    """Openings and gaze, measured on landmarks as they are seen.

    mouth_opening: inner-lip height over width. eye_opening: lid distance over eye width, right and left eye.
    gaze: (2, 2), for the right and the left eye the iris centre's offset from the middle of the eye corners,
    along the eye (towards larger x) and across it (down), in eye widths.
    """

    mouth_opening: float
    eye_opening: Array
    gaze: Array


def mouth_opening(points: NDArray[np.floating[Any]]) -> float:
    """Inner-lip height over width, from landmarks (478, 2 or 3)."""
    height = np.linalg.norm(points[[81, 13, 311]] - points[[178, 14, 402]], axis=1).mean()
    return float(height / max(float(np.linalg.norm(points[78] - points[308])), 1e-6))


def eye_opening(points: NDArray[np.floating[Any]]) -> Array:
    """Lid distance over eye width, (2,) for the right and the left eye, from landmarks (478, 2 or 3)."""
    result = np.zeros(2)
    for eye, (upper, lower) in enumerate(zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True)):
        height = np.linalg.norm(points[list(upper[3:6])] - points[list(lower[3:6])], axis=1).mean()
        result[eye] = height / max(float(np.linalg.norm(points[upper[0]] - points[upper[-1]])), 1e-6)
    return result


def eye_axes(points: NDArray[np.floating[Any]], eye: int) -> tuple[Array, Array, float]:
    """Middle (2,) of an eye's corners, unit vector (2,) along the eye towards larger x, and width in pixels."""
    upper = lm.UPPER_LIDS[eye]
    corners = np.asarray(points[[upper[0], upper[-1]], :2], np.float64)
    if eye == 1:
        corners = corners[::-1]
    along = corners[1] - corners[0]
    width = math.hypot(*along.tolist())
    return (corners[0] + corners[1]) / 2.0, along / max(width, 1e-6), width


def gaze(points: NDArray[np.floating[Any]]) -> Array:
    """Iris offsets (2, 2) of both eyes, in eye widths; see `FaceState`."""
    result = np.zeros((2, 2))
    for eye, centre in enumerate(lm.IRIS_CENTRES):
        middle, along, width = eye_axes(points, eye)
        offset = (np.asarray(points[centre, :2], np.float64) - middle) / max(width, 1e-6)
        result[eye] = offset @ along, offset @ np.array([-along[1], along[0]])
    return result


def measure(points: NDArray[np.floating[Any]]) -> FaceState:
    """Openings and gaze of landmarks (478, 3) in pixels."""
    return FaceState(mouth_opening(points[:, :2]), eye_opening(points[:, :2]), gaze(points))
