"""Spectacles in a source: whether they are worn, and where their frames run, so that nothing is painted over them."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import eye_axes
from avatarkit.systems.landmark_warp.eye_frame import EyePatch
from avatarkit.systems.landmark_warp.openings import rise

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

THICKEST = 0.27
"""Frames are thinner than this, in eye widths."""
PER_WIDTH = 48
"""Pixels to an eye width at which lines across a face are looked for."""
# Contrast of a line across the bridge of the nose, and of lines under both eyes, over the skin's light. On 28 portraits
# (three with spectacles) a bare bridge gave 0.09 at most, in a grainy picture 0.19 with 0.23 under both eyes.
BRIDGE, FAINT_BRIDGE, RIMS = 0.35, 0.14, 0.28
FRAME_CONTRAST = (0.16, 0.3)
"""A line belongs to the frame from the second contrast on, below the first it does not."""
LASHES = 0.07
"""Lines this close to the eye's opening, in eye widths, are lashes and lids."""


def worn(picture: NDArray[np.uint8], landmarks: Array) -> bool:
    """Whether a face wears spectacles: a line across the nose, or a fainter one and rims below both eyes."""
    inner = landmarks[[lm.UPPER_LIDS[0][-1], lm.UPPER_LIDS[1][-1]], :2]
    along = inner[1] - inner[0]
    span = float(np.linalg.norm(along))
    width = float(np.mean([eye_axes(landmarks, eye)[2] for eye in range(2)]))
    if span < 1.0 or width < 4.0:
        return False
    along = along / span
    bridge = _line(picture, inner.mean(0), along, width, 0.32 * span / width, (-0.5, 0.45))
    rims = [
        _line(picture, eye_axes(landmarks, eye)[0], along, width, 0.4, (0.15, 0.75)) for eye in range(2)
    ]
    return bridge > BRIDGE or (bridge > FAINT_BRIDGE and min(rims) > RIMS)


def _line(
    picture: NDArray[np.uint8], middle: Array, along: Array, width: float, half: float, reach: tuple[float, float]
) -> float:
    """Contrast of what runs across a field all the way: its 20th percentile over the columns.

    The field is `half` eye widths to either side of its middle along the eyes, and from the first to the second of
    `reach` below them.
    """
    import cv2

    a = np.linspace(-half, half, PER_WIDTH // 2) * width
    b = np.arange(reach[0], reach[1], 1.0 / PER_WIDTH) * width
    across = np.array([-along[1], along[0]])
    points = middle + a[None, :, None] * along + b[:, None, None] * across
    light = cv2.blur(sample(picture, points).astype(np.float32).mean(2), (5, 1))
    kernel = np.ones((round(THICKEST * PER_WIDTH), 1), np.uint8)
    dark = cv2.morphologyEx(light, cv2.MORPH_CLOSE, kernel) - light
    bright = light - cv2.morphologyEx(light, cv2.MORPH_OPEN, kernel)
    contrast = np.maximum(dark, bright) / max(float(np.median(light)), 10.0)
    return float(np.percentile(contrast.max(0), 20))


def frame_before(patch: EyePatch, upper: Pixels, lower: Pixels) -> Pixels:
    """Coverage (h, w) of a frame in the surroundings of an eye: long dark lines that do not end at its opening.

    Args:
        upper, lower: heights (w,) of the lids' edges, in eye coordinates.
    """
    import cv2

    light = patch.pixels.mean(2)
    size = round(THICKEST * patch.per_width) | 1
    kernels = [np.ones((size, 1), np.uint8), np.ones((1, size), np.uint8)]
    dark = np.max([cv2.morphologyEx(light, cv2.MORPH_CLOSE, kernel) for kernel in kernels], axis=0) - light
    b, a = patch.local[..., 1], patch.local[..., 0]
    opening = (b > upper - LASHES) & (b < lower + LASHES) & (np.abs(a) < 0.55)
    usual = max(float(np.median(light[~opening])), 10.0)
    contrast = np.where(opening, 0.0, dark / usual)
    lines = (contrast > np.mean(FRAME_CONTRAST)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    extent = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    keep = extent > 0.45 * patch.per_width
    keep[0] = False
    reach = round(0.06 * patch.per_width) | 1
    near = cv2.dilate(keep[labels].astype(np.uint8), np.ones((reach, reach), np.uint8)) if count > 1 else lines * 0
    wide = np.asarray(cv2.dilate(contrast.astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)
    cover = rise(wide, *FRAME_CONTRAST) * near
    return np.asarray(cv2.GaussianBlur(cover.astype(np.float32), (0, 0), max(0.012 * patch.per_width, 0.6)), np.float32)
