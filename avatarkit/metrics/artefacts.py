"""What a viewer sees at once and a tracker does not: samples from nowhere, specks, flicker. Pure functions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample

Picture = NDArray[np.uint8]
Flow = NDArray[np.float32] | None
"""Of two frames, see `flow_map`; None where it is not known yet."""

OPAQUE = 127
"""Pixels with a higher alpha count as opaque."""
SPECK_LEVELS = 60
"""A speck differs from its surroundings by more than this, of 255, in one channel."""
MOVED_PX = 4
SURROUNDINGS_PX = 5
"""Surroundings are the median over a square with this side."""


def beyond_px(places: NDArray[np.floating[Any]], edges: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """How far outside of a rectangle places (..., 2) lie, in pixels; negative inside.

    Args:
        places: x and y in pixels, centres at integers.
        edges: left, top, right and bottom of the rectangle; of a whole picture -0.5, -0.5, width - 0.5, height - 0.5.
    """
    x, y = places[..., 0], places[..., 1]
    left, top, right, bottom = edges
    return np.asarray(np.maximum.reduce([left - x, top - y, x - right, y - bottom]), np.float32)


def opaque_share(places_beyond_px: NDArray[np.floating[Any]], alpha: Picture, more_than_px: float) -> float:
    """Share of a frame's pixels that are opaque and show something more than some pixels beyond the picture.

    Args:
        places_beyond_px: (H, W), see `beyond_px`. alpha: (H, W) uint8.
        more_than_px: 0.5 lets pass what interpolation reads from the outermost pixel.
    """
    return float(np.mean((places_beyond_px > more_than_px) & (alpha > OPAQUE)))


def off_triangle_px(points: NDArray[np.floating[Any]], corners: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Distance (N,) of points (N, 2) from triangles (N, 3, 2), 0 inside and on the rim, in the points' unit."""
    p, a = np.asarray(points, np.float64), np.asarray(corners, np.float64)
    b = np.roll(a, -1, axis=1)
    edge, offset = b - a, p[:, None] - a
    side = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    area = edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]
    inside = np.all(side * np.sign(area)[:, None] >= 0.0, axis=1) & (area != 0.0)
    length = np.maximum((edge**2).sum(2), 1e-18)
    along = np.clip((offset * edge).sum(2) / length, 0.0, 1.0)
    distance = np.linalg.norm(offset - along[..., None] * edge, axis=2).min(1)
    return np.asarray(np.where(inside, 0.0, distance), np.float64)


def specks_per_million(frame: Picture, following: Picture, flow: Flow = None) -> float:
    """Isolated pixels of a frame (H, W, 3) that are gone in the following one, per million pixels.

    One that is found again within `MOVED_PX` of where the motion between the frames takes it is no speck but a mole, a
    lash or a strand of hair.
    """
    import cv2

    side = 2 * MOVED_PX + 1
    again = cv2.dilate(_specks(following).astype(np.uint8), np.ones((side, side), np.uint8))
    there = sample(again.astype(np.float32), flow_map(frame, following) if flow is None else flow)
    return 1e6 * float(np.mean(_specks(frame) & (there < 0.5)))


def compensated_difference(frame: Picture, following: Picture, flow: Flow = None) -> float:
    """Mean difference in grey levels of two frames (H, W, 3) after the motion between them is undone.

    What moves smoothly costs little; what flickers, pops up or tears costs its contrast.
    """
    import cv2

    item, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (frame, following))
    back = sample(np.asarray(other, np.uint8), flow_map(frame, following) if flow is None else flow)
    return float(np.abs(item.astype(np.float32) - back).mean())


def matte_difference(
    matte: NDArray[np.floating[Any]], following: NDArray[np.floating[Any]], flow: NDArray[np.float32]
) -> float:
    """Mean difference, 0 to 1, of the mattes (H, W) of two frames after the frames' motion is undone: its flicker."""
    back = sample(np.asarray(following, np.float32), flow)
    return float(np.abs(np.asarray(matte, np.float32) - back).mean())


def flow_map(frame: Picture, following: Picture) -> NDArray[np.float32]:
    """For each pixel of a frame its place (H, W, 2) in the following one, by dense optical flow.

    Source: T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
    """
    import cv2

    none: Any = None
    item, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (frame, following))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(item, other, none)
    height, width = frame.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.asarray(flow + np.stack([x, y], axis=2), np.float32)


def _specks(frame: Picture) -> NDArray[np.bool_]:
    """Pixels (H, W) that differ from the median around them by more than `SPECK_LEVELS` in one channel."""
    import cv2

    around = cv2.medianBlur(frame, SURROUNDINGS_PX)
    return np.asarray(cv2.absdiff(frame, around).max(2) > SPECK_LEVELS, np.bool_)
