"""Corners of a mouth that opens: the line in which a photo's lips end there goes as they part, and is not drawn out."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.openings import Region, rise, rise_at

Array = NDArray[np.float64]

# Lengths in head units (about 9 cm).
LONG, HIGH = 0.13, 0.12
"""Half axes of what is looked at around a corner, along the mouth and across it."""
OUTWARDS = 0.03
"""Its middle lies this far outside of the corner's landmark."""
LINE = 0.13
"""What is dark and less high than this is the line."""
TEXTURE = 0.012
"""What is finer than this is the skin's own, and stays."""
APART = (0.3, 0.55)
"""Lips so much farther apart than in the source, over the width of the mouth, begin to lose the line, and have lost it.
Mouths that smile have dark corners."""
TAKEN = 0.85
"""How much of it is lost."""
ASIDE, FACING = 0.5, (0.2, 0.5)
"""The skin at a corner faces aside by this share, and forward. A corner that faces the viewer by less than the first
cosine is left alone: what is dark beside it is the face's outline, or what stands behind that."""


def clear_corners(frame: NDArray[np.uint8], motion: DriveFrame, apart: float) -> None:
    """Lighten dark lines beside the corners of a mouth in a frame (H, W, 3), in place.

    Args:
        apart: how much farther apart the lips are than in the source, in head units.
    """
    scale = motion.pose.scale
    corners = motion.landmarks[[lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]], :2]
    along = corners[1] - corners[0]
    width = float(np.linalg.norm(along))
    share = TAKEN * rise_at(apart * scale / max(width, 1.0), *APART)
    if share <= 0.0 or width < 0.2 * scale:
        return
    along = along / width
    across, forward = motion.pose.rotation[2, 0], motion.pose.rotation[2, 2]
    for corner, way, aside in zip(corners, (-along, along), (-ASIDE, ASIDE), strict=True):
        facing = (forward - aside * across) / np.hypot(1.0, ASIDE)
        seen = share * rise_at(facing, *FACING)
        if seen > 0.0:
            _clear(frame, corner + OUTWARDS * scale * way, along, scale, seen)


def _clear(frame: NDArray[np.uint8], centre: Array, along: Array, scale: float, share: float) -> None:
    import cv2

    region = Region.around(centre[None], LONG * scale, frame.shape[1], frame.shape[0])
    if region is None:
        return
    part = region.of(frame)
    rows, columns = part.shape[:2]
    # What is looked for has nothing finer than a smaller picture holds.
    step = max(TEXTURE * scale, 1.0)
    small = max(round(columns / step), 2), max(round(rows / step), 2)
    low = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    half = LINE * scale / step / 2.0 * np.array([-along[1], along[0]])
    middle = int(np.ceil(LINE * scale / step / 2.0))
    kernel = np.zeros((2 * middle + 1, 2 * middle + 1), np.uint8)
    (x0, y0), (x1, y1) = (middle + np.outer([-1, 1], half)).round().astype(int).tolist()
    cv2.line(kernel, (x0, y0), (x1, y1), (1.0,))
    lift = cv2.subtract(cv2.morphologyEx(low, cv2.MORPH_CLOSE, kernel), low)
    x, y = Region.whole(*small).pixels()
    x = (x + 0.5) * np.float32(columns / small[0]) + np.float32(region.left - 0.5 - centre[0])
    y = (y + 0.5) * np.float32(rows / small[1]) + np.float32(region.top - 0.5 - centre[1])
    a, b = (along[0] * x + along[1] * y) / (LONG * scale), (along[0] * y - along[1] * x) / (HIGH * scale)
    lift = (share * rise(1.0 - a**2 - b**2, 0.0, 0.8))[..., None] * lift
    lift = cv2.resize(np.round(lift).astype(np.uint8), (columns, rows), interpolation=cv2.INTER_LINEAR)
    np.copyto(part, np.asarray(cv2.add(part, lift), np.uint8))
