"""Elementary expressions of any face, as landmark offsets in head coordinates: jaw, lips, smile, brows.

Each is built from groups of landmarks with smooth falloffs around them. Lengths are in head units (see
`head.coordinates`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import rise

Array = NDArray[np.float64]

CORNER_SHARE = 0.25
"""How much of the jaw's turn the mouth corners follow."""
UPPER_LIP_SHARE = 0.4
"""The part of closing an open mouth that the upper lip does."""
SMILE_CORNER = (0.05, -0.055, 0.02)
"""Where a full smile takes a mouth corner: outwards, up, back."""
CHEEK_LIFT, BROW_LIFT = 0.03, 0.075
ROUNDING, PROTRUSION = 0.3, 0.07
"""Rounded lips are narrower by this share, and stand forward by this length."""

_NOSE = (1, 2, 64, 98, 294, 327)
_CHEEKS = (50, 280)


@dataclass(frozen=True)
class FaceShapes:
    """Offsets (478, 3) in head units, for a full expression each.

    jaw: for an opening by one radian; good for the small angles of a jaw. closed: brings the lips together,
    and does nothing where they are. rounded: as for "oo". smile: a negative weight relaxes one.
    """

    jaw: Array
    closed: Array
    rounded: Array
    smile: Array
    brows: Array


def face_shapes(face: NDArray[np.floating[Any]]) -> FaceShapes:
    """The shapes of a face (478, 3) in head coordinates."""
    points = np.asarray(face, np.float64)
    mouth = _Mouth(points)
    return FaceShapes(
        _jaw(points, mouth),
        _closed(points, mouth),
        _rounded(points, mouth),
        _smile(points, mouth),
        _brows(points),
    )


class _Mouth:
    """Where each landmark lies as seen from the mouth.

    corners, centre: (2, 2) and (2,), in head coordinates without depth. arch: (478,) from `CORNER_SHARE` at
    the corners and beyond to 1 in the middle. to_upper, to_lower: (478,) distances from the lips. below:
    (478,) 0 at and above the upper lip, about a half beside the mouth, 1 at and below the lower lip.
    """

    def __init__(self, points: Array) -> None:
        flat = points[:, :2]
        upper = [i for row in lm.UPPER_LIP_ROWS for i in row[1:-1]]
        lower = [i for row in lm.LOWER_LIP_ROWS for i in row[1:-1]]
        self.corners = flat[[lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]]]
        self.centre = self.corners.mean(0)
        half = max(float(self.corners[1, 0] - self.corners[0, 0]) / 2.0, 1e-6)
        along = np.clip((flat[:, 0] - self.centre[0]) / half, -1.0, 1.0)
        self.arch = CORNER_SHARE + (1.0 - CORNER_SHARE) * np.sqrt(1.0 - along**2)
        self.to_upper, self.to_lower = _distance(flat, flat[upper]), _distance(flat, flat[lower])
        self.below = self.to_upper / np.maximum(self.to_upper + self.to_lower, 1e-9)
        outline = flat[list(lm.OUTER_LIP_LOWER)]
        order = np.argsort(outline[:, 0])
        edge = np.interp(flat[:, 0], outline[order, 0], outline[order, 1])
        self.below[flat[:, 1] > edge] = 1.0


def _jaw(points: Array, mouth: _Mouth) -> Array:
    """A turn about the axis through the ears, of the chin with the lower lip."""
    chin = rise((points[:, 1] - mouth.centre[1]) / 0.35)
    under = mouth.arch * rise((0.4 - mouth.to_lower) / 0.3)
    weight = np.maximum(chin, under) * rise((mouth.below - 0.45) / 0.3)
    for row in lm.UPPER_LIP_ROWS:
        weight[list(row)] = 0.0
    for row in lm.LOWER_LIP_ROWS:
        weight[list(row)] = mouth.arch[list(row)]
        weight[[row[0], row[-1]]] = CORNER_SHARE
    offset = np.zeros_like(points)
    offset[:, 1], offset[:, 2] = -points[:, 2], points[:, 1]
    return np.asarray(weight[:, None] * offset, np.float64)


def _closed(points: Array, mouth: _Mouth) -> Array:
    """Both lips move as they are, without getting thinner; the skin around them gives way."""
    gap = points[list(lm.INNER_LIP_LOWER)] - points[list(lm.INNER_LIP_UPPER)]
    gap[:, 1] = np.maximum(gap[:, 1], 0.0)
    x = points[list(lm.INNER_LIP_UPPER), 0]
    order = np.argsort(x)
    across = np.stack([np.interp(points[:, 0], x[order], gap[order, k]) for k in range(3)], axis=1)
    down = UPPER_LIP_SHARE * rise(1.0 - mouth.to_upper / 0.25) * rise((0.55 - mouth.below) / 0.3)
    up = (1.0 - UPPER_LIP_SHARE) * np.maximum(rise(1.0 - mouth.to_lower / 0.3), 0.4)
    result: Array = (down - up * rise((mouth.below - 0.45) / 0.3))[:, None] * across
    for upper, lower in zip(lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS, strict=True):
        result[list(upper)] = UPPER_LIP_SHARE * gap
        result[list(lower)] = (UPPER_LIP_SHARE - 1.0) * gap
        result[[upper[0], upper[-1]]] = 0.0
    return result


def _rounded(points: Array, mouth: _Mouth) -> Array:
    offset = points[:, :2] - mouth.centre
    near = np.exp(-0.6 * np.sum((offset / [0.42, 0.32]) ** 2, axis=1))
    near *= rise(_distance(points[:, :2], points[list(_NOSE), :2]) / 0.15)
    result = np.zeros_like(points)
    result[:, 0] = -ROUNDING * near * offset[:, 0]
    result[:, 2] = -PROTRUSION * near
    return result


def _smile(points: Array, mouth: _Mouth) -> Array:
    result = np.zeros_like(points)
    for side, corner, cheek in zip((-1.0, 1.0), mouth.corners, _CHEEKS, strict=True):
        near = np.exp(-np.sum((points[:, :2] - corner) ** 2, axis=1) / (2.0 * 0.17**2))
        result += near[:, None] * (np.array(SMILE_CORNER) * [side, 1.0, 1.0])
        lift = np.exp(-np.sum((points[:, :2] - points[cheek, :2]) ** 2, axis=1) / (2.0 * 0.16**2))
        result[:, 1] -= CHEEK_LIFT * lift
    return result


def _brows(points: Array) -> Array:
    result = np.zeros_like(points)
    for brow, lids in zip(lm.BROWS, lm.UPPER_LIDS, strict=True):
        away = _distance(points[:, :2], points[list(brow), :2])
        lid = points[list(lids), 1].min()
        clear = rise((lid - points[:, 1]) / 0.1)
        result[:, 1] = np.minimum(result[:, 1], -BROW_LIFT * np.exp(-((away / 0.16) ** 2)) * clear)
    return result


def _distance(points: Array, others: Array) -> Array:
    """Distance (N,) of points (N, 2) to the nearest of others (M, 2)."""
    return np.asarray(np.linalg.norm(points[:, None] - others[None], axis=2).min(1), np.float64)
