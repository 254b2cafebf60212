"""What a net is told of a part beside its picture: where its openings are, drawn from the landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.systems.refined_warp.patches import Patch

__all__ = ["guide"]

Array = NDArray[np.float64]
_BITS = 4


def guide(
    part: str, patch: Patch, landmarks: Array, alpha: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Three masks (h, w, 3) of a part, 0 to 255, at a size (width, height): two of openings, and the frame's alpha.

    Of the mouth: what lies between the lips, and the lips with it. Of an eye: what lies between the lids, and the
    iris. Of the face: all openings, and the face's oval.
    """
    import cv2

    if part == "mouth":
        rings = [[_opening(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)], [_opening(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER)]]
    elif part == "face":
        eyes = [_opening(*lids) for lids in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True)]
        rings = [[*eyes, _opening(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)], [tuple(lm.FACE_OVAL)]]
    else:
        eye = 0 if part == "right_eye" else 1
        rings = [[_opening(lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye])], [tuple(lm.IRIS_RIMS[eye])]]
    planes = [
        [_filled(patch, landmarks[list(ring), :2], size, rounded=len(ring) == 4) for ring in outlines]
        for outlines in rings
    ]
    return np.asarray(cv2.merge([*map(np.maximum.reduce, planes), patch.cut(alpha, size)]), np.uint8)


def _opening(upper: tuple[int, ...], lower: tuple[int, ...]) -> tuple[int, ...]:
    return lm.ring(upper, lower)


def _filled(patch: Patch, outline: Array, size: tuple[int, int], *, rounded: bool) -> NDArray[np.uint8]:
    import cv2

    points = (patch.local(outline) + 1.0) * 0.5 * size - 0.5
    if rounded:
        middle, around = points.mean(0), points - points.mean(0)
        radius = float(np.linalg.norm(around, axis=1).mean())
        turns = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
        points = middle + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    mask = np.zeros((size[1], size[0]), np.uint8)
    fixed = np.round(np.clip(points, -4096, 4096) * (1 << _BITS)).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(mask, [fixed], [255.0], cv2.LINE_AA, _BITS)
    return mask
