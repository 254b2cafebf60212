"""What a single frame shows that no camera takes: dotted seams and holes in a face, borders that repeat as in a mirror.

Nothing of the program that drew it is asked, so that frames of any program are measured. All three are small on most
photos but not on all (freckles, spectacles, tiles): they are to be read beside the source's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.landmarks import (
    BROWS,
    FACE_OVAL,
    LOWER_LIDS,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    UPPER_LIDS,
)

__all__ = ["Blemishes", "blemishes", "mirrored_share"]

Picture = NDArray[np.uint8]

FACE_PX = 256
"""Faces are looked at in this size."""
SEAM_PX, SEAM_LEVELS = 5, 40
"""A seam is narrower than this, and differs by more than this from what lies on both sides of it."""
HOLE_PX, HOLE_LEVELS = 25, 60
RIM_PX, FEATURE_PX = 7, 9
"""What lies so near to the face's outline, or to a brow, an eye or the lips, is left out."""

BORDER_SIDE, BORDER_DEPTH, BORDER_REACH, BORDER_PART = 256, 12, 40, 16
"""At this side of the picture: how deep a border must repeat, how far inside the mirror may stand, rows of a part."""
ALIKE, LEAST_DETAIL = 0.9, 3.0


class Blemishes(NamedTuple):
    """Shares of the skin between outline and features, 0 to 1, that are a seam's and a hole's."""

    seams: float
    holes: float


def blemishes(picture: Picture, landmarks: NDArray[np.floating[Any]]) -> Blemishes:
    """Narrow lines and compact spots in a face that stand out against the skin around them.

    By closing and opening with a disc: what the disc does not fit into is narrower than it (black and white top hats,
    J. Serra, "Image Analysis and Mathematical Morphology", 1982).

    Args:
        picture: RGB uint8 (H, W, 3). landmarks: (478, 2 or 3) in pixels.
    """
    import cv2

    points = np.asarray(landmarks, np.float64)[:, :2]
    low, high = points[list(FACE_OVAL)].min(axis=0), points[list(FACE_OVAL)].max(axis=0)
    scale = FACE_PX / max(float((high - low).max()), 1.0)
    place = np.array([[scale, 0.0, -scale * low[0]], [0.0, scale, -scale * low[1]]])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    face = np.asarray(
        cv2.warpAffine(grey, place, (FACE_PX, FACE_PX), flags=method, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    skin = _skin((points - low) * scale)
    if not skin.any():
        return Blemishes(0.0, 0.0)
    seams = _stands_out(face, SEAM_PX) > SEAM_LEVELS
    near = cv2.dilate(seams.astype(np.uint8), np.ones((SEAM_PX, SEAM_PX), np.uint8)) > 0
    holes = (_stands_out(face, HOLE_PX) > HOLE_LEVELS) & ~near
    return Blemishes(float(seams[skin].mean()), float(holes[skin].mean()))


def mirrored_share(picture: Picture) -> float:
    """Share of a picture's border, 0 to 1, along which what is there repeats itself towards the inside as in a mirror.

    What a sampler reads beyond the picture's edge when it reflects. Lines along the border and across it, which any
    mirror leaves as they are, do not count.
    """
    import cv2

    grey, side = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (BORDER_SIDE, BORDER_SIDE)
    square = cv2.resize(grey, side, interpolation=cv2.INTER_AREA)
    parts = [_mirrored(np.rot90(square, turns).astype(np.float32)) for turns in range(4)]
    return float(np.mean(parts))


def _mirrored(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For each part of the left border whether a mirror stands before it."""
    found = np.zeros(BORDER_SIDE // BORDER_PART, np.bool_)
    for mirror in range(BORDER_DEPTH, BORDER_REACH):
        outer = _detail(grey[:, mirror - BORDER_DEPTH : mirror][:, ::-1])
        for inner_from in (mirror, mirror + 1):  # mirrors stand between pixels or on them
            inner = _detail(grey[:, inner_from : inner_from + BORDER_DEPTH])
            power = np.sqrt((outer**2).mean(axis=(1, 2)) * (inner**2).mean(axis=(1, 2)))
            alike = (outer * inner).mean(axis=(1, 2)) > ALIKE * power
            found |= alike & (power > LEAST_DETAIL**2)
    return found


def _detail(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Parts (N, rows, depth) of a strip without what is equal along their rows or columns."""
    parts = strip.reshape(-1, BORDER_PART, BORDER_DEPTH)
    rows, columns = parts.mean(axis=2, keepdims=True), parts.mean(axis=1, keepdims=True)
    return np.asarray(parts - rows - columns + parts.mean(axis=(1, 2), keepdims=True), np.float32)


def _skin(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    import cv2

    def filled(places: tuple[int, ...]) -> NDArray[np.uint8]:
        mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(points[list(places)].round().astype(np.int32)), [1])
        return mask

    skin = cv2.erode(filled(FACE_OVAL), _disc(2 * RIM_PX + 1), borderType=cv2.BORDER_CONSTANT, borderValue=[0])
    eyes = (upper + lower for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True))
    for feature in (*BROWS, *eyes, OUTER_LIP_UPPER + OUTER_LIP_LOWER):
        skin[cv2.dilate(filled(feature), _disc(2 * FEATURE_PX + 1)) > 0] = 0
    return np.asarray(skin > 0)


def _stands_out(grey: NDArray[np.uint8], narrower_px: int) -> NDArray[np.uint8]:
    """By how many levels a pixel belongs to something dark or bright that is narrower than that."""
    import cv2

    disc = _disc(narrower_px)
    dark, bright = (cv2.morphologyEx(grey, kind, disc) for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
    return np.maximum(dark, bright)


def _disc(side: int) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
