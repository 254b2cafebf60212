"""The dark line at the corners of a photo's lips, lightened in what is drawn of it where the lips part there.

It is as high as lips that touch leave it, and where the mouth opens it would be drawn out to a dark wedge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.openings import Region, rise, rise_at

Array = NDArray[np.float64]
Map = NDArray[np.float32]

# Lengths in head units (about 9 cm).
LONG, HIGH, OUTWARDS = 0.1, 0.075, 0.015
"""Half axes of what is looked at around a corner of the photo, along the mouth and across it, and how far outside of
the corner its middle lies."""
LINE = 0.08
"""What is dark and less high than this is the line."""
TEXTURE = 0.01
"""What is finer than this is the skin's own, and stays."""
APART = (0.05, 0.15)
"""Lips so much farther apart than in the photo, beside a corner, begin to lose the line there, and have lost it."""
POINTED = (0.025, 0.08)
"""The same for what lies beyond the corner, which ends in a point: as it opens, the line would end it upright."""
OUTSIDE, POINT = (-0.02, 0.003), (0.009, 0.024)
"""Beyond the corner begins so far outside of it; half the height of the point that is left there, and its length."""
TAKEN = 0.85
"""How much of it is lost."""
COLOURED = 0.6
"""How far it is lightened channel by channel: lips and skin to both sides of it would mix to mauve."""
BESIDE = 2
"""Number of the landmarks beside the corner, along the lips."""
_SIDES = ((0, BESIDE), (-1, -1 - BESIDE))


@dataclass(frozen=True)
class CornerLines:
    """What the lines at both corners darken, RGB uint8 (h, w, 3), with its first pixel at (left, top) of the canvas.

    parted: (2,) how far apart the photo's lips are beside either corner, in head units.
    """

    darker: NDArray[np.uint8]
    left: int
    top: int
    parted: Array

    @staticmethod
    def of(pixels: NDArray[np.uint8], landmarks: Array) -> CornerLines | None:
        """Those of a canvas (H, W, 3 or 4) with these landmarks (478, 3) in its pixels; None where it has no mouth."""
        import cv2

        scale = head_frame(landmarks).scale
        corners = landmarks[[lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]], :2]
        along = corners[1] - corners[0]
        along = along / max(float(np.linalg.norm(along)), 1e-6)
        region = Region.around(corners, (LONG + OUTWARDS + LINE) * scale, pixels.shape[1], pixels.shape[0])
        if region is None or LINE * scale < 2.0:
            return None
        part = np.ascontiguousarray(region.of(pixels)[..., :3])
        rows, columns = part.shape[:2]
        step = max(TEXTURE * scale, 1.0)
        small = max(round(columns / step), 2), max(round(rows / step), 2)
        low = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
        reach = LINE * scale / step / 2.0
        kernel = np.zeros((2 * int(np.ceil(reach)) + 1,) * 2, np.uint8)
        middle = len(kernel) // 2
        (x0, y0), (x1, y1) = (middle + reach * np.outer([-1, 1], [-along[1], along[0]])).round().astype(int).tolist()
        cv2.line(kernel, (x0, y0), (x1, y1), (1.0,))
        darker = cv2.subtract(cv2.morphologyEx(low, cv2.MORPH_CLOSE, kernel), low)
        darker = np.asarray(cv2.resize(darker, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)
        darker = np.float32(COLOURED) * darker + np.float32(1.0 - COLOURED) * darker.mean(2, keepdims=True)
        x, y = region.pixels()
        near = np.zeros((rows, columns), np.float32)
        for corner, way in zip(corners, (-along, along), strict=True):
            dx, dy = x - (corner + OUTWARDS * scale * way)[0], y - (corner + OUTWARDS * scale * way)[1]
            a, b = (along[0] * dx + along[1] * dy) / (LONG * scale), (along[0] * dy - along[1] * dx) / (HIGH * scale)
            near = np.maximum(near, rise(1.0 - a**2 - b**2, 0.0, 0.7))
        result = np.round(np.float32(TAKEN) * near[..., None] * darker).astype(np.uint8)
        return CornerLines(result, region.left, region.top, _parted(landmarks, scale))

    def lighten(
        self, drawn: NDArray[np.uint8], shown: Callable[[Region], tuple[Map, Map]], motion: DriveFrame
    ) -> None:
        """Lighten the lines in what is drawn (h, w, 3 or 4), in place.

        Args:
            shown: gives x and y (h, w) of the canvas pixels that a part of it shows. motion: in its pixels.
        """
        import cv2

        scale = motion.pose.scale
        parted = _parted(motion.landmarks, scale) - self.parted
        corners = motion.landmarks[[lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]], :2]
        along = (corners[1] - corners[0]) / max(float(np.linalg.norm(corners[1] - corners[0])), 1e-6)
        before: tuple[Region, NDArray[np.uint8]] | None = None
        for side, corner, way, apart in zip(_SIDES, corners, (-along, along), parted, strict=True):
            if apart <= POINTED[0]:
                continue
            around = [row[k] for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for k in side]
            region = Region.around(
                motion.landmarks[around, :2], (LONG + OUTWARDS) * scale, drawn.shape[1], drawn.shape[0]
            )
            if region is None:
                continue
            x, y = shown(region)
            x, y = x - np.float32(self.left), y - np.float32(self.top)
            darker = cv2.remap(self.darker, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT)
            share = _taken(region, corner, way / scale, float(apart))
            part = region.of(drawn)
            light = np.round(darker * share[..., None]).astype(np.uint8)
            if before is not None:
                _take_off(light, region, *before)
            before = region, light
            part[..., :3] = cv2.add(np.ascontiguousarray(part[..., :3]), light)


def _take_off(light: NDArray[np.uint8], region: Region, other: Region, there: NDArray[np.uint8]) -> None:
    """Leave of a corner's light (h, w, 3) what goes beyond the other's, in place: a line is lightened once.

    Of a mouth seen from aside both corners are looked at in the same pixels.
    """
    both = region.shared(other)
    if both is not None:
        here = both.moved(-region.left, -region.top).of(light)
        here -= np.minimum(here, both.moved(-other.left, -other.top).of(there))


def _taken(region: Region, corner: Array, way: Array, apart: float) -> Map:
    """How much (h, w) of a line is taken around a corner.

    Args:
        way: outwards, as long as a pixel is in head units. apart: see `APART`.
    """
    x, y = region.pixels()
    dx, dy = x - np.float32(corner[0]), y - np.float32(corner[1])
    outwards, across = way[0] * dx + way[1] * dy, way[0] * dy - way[1] * dx
    left = np.clip(1.0 - outwards / POINT[1], 0.0, 1.0)
    # As it gets thin it goes: a line of a pixel looks like a hair.
    point = rise(left, 0.0, 0.5) * np.exp(-((across / (POINT[0] * np.maximum(left, 0.3))) ** 2))
    beyond = rise(outwards, *OUTSIDE) * (1.0 - point)
    everywhere, outside = (rise_at(apart, *limits) for limits in (APART, POINTED))
    return np.asarray(np.maximum(np.float32(everywhere), np.float32(outside) * beyond), np.float32)


def _parted(landmarks: Array, scale: float) -> Array:
    """How far apart (2,) the lips are beside either corner, in head units."""
    ends = [(lm.INNER_LIP_UPPER[k], lm.INNER_LIP_LOWER[k]) for _, k in _SIDES]
    return np.array([np.linalg.norm(landmarks[a, :2] - landmarks[b, :2]) for a, b in ends]) / scale
