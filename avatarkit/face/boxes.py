"""Boxes in a picture: left, top, right, bottom in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAME_FACE_IOU", "Box", "Scored", "cut_out", "iou", "keep_best", "square"]

Box = tuple[float, float, float, float]
Scored = tuple[Box, float]

# Shares of the boxes' union above which two detections are one face.
SAME_FACE_IOU = 0.35
_SMALLEST_PART_PX = 16


def square(box: Box, factor: float) -> Box:
    """A square of `factor` times the box's longer side around its centre."""
    half = max(box[2] - box[0], box[3] - box[1]) * factor / 2.0
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    return x - half, y - half, x + half, y + half


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def keep_best(found: Iterable[Scored], same: float = SAME_FACE_IOU, most: int | None = None) -> list[Scored]:
    """The `most` best detections, without those that overlap a better one by `same` or more of their union."""
    kept: list[Scored] = []
    for box, score in sorted(found, key=lambda item: -item[1]):
        if len(kept) == most:
            break
        if all(iou(box, other) < same for other, _ in kept):
            kept.append((box, score))
    return kept


def cut_out(picture: NDArray[np.uint8], window: Box) -> tuple[NDArray[np.uint8], int, int] | None:
    """The part of a picture inside a window, in whole pixels, with its left and top; None if next to nothing."""
    height, width = picture.shape[:2]
    left, top = max(0, int(window[0])), max(0, int(window[1]))
    right, bottom = min(width, math.ceil(window[2])), min(height, math.ceil(window[3]))
    if right - left < _SMALLEST_PART_PX or bottom - top < _SMALLEST_PART_PX:
        return None
    return np.ascontiguousarray(picture[top:bottom, left:right]), left, top
