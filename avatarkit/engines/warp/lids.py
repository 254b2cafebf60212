"""Closed eyelids: skin where the open eye was, and a line of lashes along the lower lid.

A source with open eyes shows next to nothing of its upper lids. Stretching that little smears lashes over the
eye; instead the skin around the eye is continued over it once, and comes into view as the lid comes down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.engines.warp.eyes import HALF_HEIGHT, HALF_WIDTH, MIN_PATCH_PX, eye_coordinates, local_point, turned_away
from avatarkit.engines.warp.openings import Region, blend, smooth_curve, soft_mask
from avatarkit.face import landmarks as lm
from avatarkit.motion.head import eye_axes, head_frame
from avatarkit.motion.transfer import DriveFrame

Array = NDArray[np.float64]

# In eye widths. Lashes and make-up reach this far beyond the opening; no skin is taken from there.
LASHES_ABOVE, LASHES_BELOW = 0.17, 0.09
LINE_THICKNESS = 0.022
LINE_STRENGTH = 0.85
FADE_IN, FADE_FULL = 0.75, 0.4
"""The lid's skin begins to show below the first openness and is all there below the second."""


@dataclass(frozen=True)
class Lid:
    """One eye's closed lid in eye coordinates: skin RGB float32 (h, w, 3), and the colour (3,) of its lashes."""

    skin: NDArray[np.float32]
    per_width: float
    lashes: NDArray[np.float32]
    drop: float


class LidLayer:
    """Draws the closing lids of a source."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        scale = head_frame(landmarks).scale
        self._lids = [_lid(picture, landmarks, eye, scale) for eye in range(2)]

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw what the lids hide into a frame (H, W, 3), in place; open eyes are left alone."""
        for eye, lid in enumerate(self._lids):
            share = float(np.clip((FADE_IN - motion.eye_openness[eye]) / (FADE_IN - FADE_FULL), 0.0, 1.0))
            if share > 0.0 and not turned_away(motion.landmarks, eye):
                self._draw_one(frame, motion, eye, lid, share * share * (3.0 - 2.0 * share))

    def _draw_one(self, frame: NDArray[np.uint8], motion: DriveFrame, eye: int, lid: Lid, share: float) -> None:
        import cv2

        points = motion.landmarks[:, :2]
        middle, along, width = eye_axes(motion.landmarks, eye)
        if width < 3.0:
            return
        edge, lower = smooth_curve(points[list(lm.UPPER_LIDS[eye])]), smooth_curve(points[list(lm.LOWER_LIDS[eye])])
        corners = [lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1]]
        crease = points[[corners[0], *lm.UPPER_CREASES[eye], corners[1]]]
        across = np.array([-along[1], along[0]])
        # A shut lid rests on the lower one and hides its rim too.
        shut = float(np.clip(1.0 - motion.eye_openness[eye] / 0.25, 0.0, 1.0))
        rim = edge + shut * (np.maximum(lower - edge, 0.0) + 0.03 * width * across)
        top = smooth_curve(0.35 * crease + 0.65 * points[list(lm.UPPER_LIDS[eye])] - 0.04 * width * across)
        top = np.minimum(top, smooth_curve(crease)) if eye_is_level(along) else top
        outline = np.concatenate([top, rim[::-1]])
        region = Region.around(outline, 0.12 * width, frame.shape[1], frame.shape[0])
        if region is None:
            return
        height = lid.drop * motion.pose.scale
        local = eye_coordinates(region, middle, along, width, height)
        grid = (local + np.array([HALF_WIDTH, HALF_HEIGHT], np.float32)) * np.float32(lid.per_width)
        skin = cv2.remap(lid.skin, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        part = region.of(frame)
        blend(part, skin, np.float32(share) * soft_mask(outline, region, 0.035 * width))
        line = np.stack([local_point(p, middle, along, width, height) for p in (edge + lower * shut) / (1.0 + shut)])
        line = line[np.argsort(line[:, 0])]
        off = local[..., 1] - np.interp(local[..., 0], line[:, 0], line[:, 1])
        inside = np.clip((0.5 - np.abs(local[..., 0])) / 0.12, 0.0, 1.0)
        strength = np.float32(LINE_STRENGTH * share) * np.exp(-((off / LINE_THICKNESS) ** 2)) * inside
        blend(part, np.broadcast_to(lid.lashes, skin.shape).astype(np.float32), strength.astype(np.float32))


def eye_is_level(along: Array) -> bool:
    """Whether an eye lies flat enough in the picture for "above" to mean smaller y."""
    return bool(abs(along[1]) < 0.5)


def _lid(picture: NDArray[np.uint8], landmarks: Array, eye: int, scale: float) -> Lid:
    """Continue the skin around the eye over it, and read the lashes' colour."""
    import cv2

    middle, along, width = eye_axes(landmarks, eye)
    per_width = max(width, MIN_PATCH_PX)
    columns, rows = round(2 * HALF_WIDTH * per_width) + 1, round(2 * HALF_HEIGHT * per_width) + 1
    a, b = np.meshgrid(np.arange(columns) / per_width - HALF_WIDTH, np.arange(rows) / per_width - HALF_HEIGHT)
    grid = np.stack(
        [middle[0] + width * (a * along[0] - b * along[1]), middle[1] + width * (a * along[1] + b * along[0])], axis=2
    ).astype(np.float32)
    patch = np.asarray(cv2.remap(picture, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    upper, lower = (
        np.stack([local_point(landmarks[i, :2], middle, along, width, width) for i in ring])
        for ring in (lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye])
    )
    order = np.argsort(upper[:, 0])
    top = np.interp(a[0], upper[order, 0], upper[order, 1])
    bottom = np.interp(a[0], lower[order, 0], lower[order, 1])
    taper = np.clip((0.62 - np.abs(a[0])) / 0.2, 0.0, 1.0)
    hidden = (b > top - LASHES_ABOVE * taper) & (b < bottom + LASHES_BELOW * taper) & (taper > 0)
    skin = fill_smooth(patch, (~hidden).astype(np.float32))
    near = (np.abs(b - top) < 0.035) & (np.abs(a) < 0.4)
    strip = patch[near]
    dark = strip[strip.mean(1) <= np.percentile(strip.mean(1), 25)].mean(0) if len(strip) else skin.mean((0, 1))
    # Pale lashes still cast a shadow on the cheek.
    lashes = np.minimum(dark, 0.6 * skin[hidden].mean(0)) if hidden.any() else dark
    return Lid(np.asarray(skin, np.float32), per_width, np.asarray(lashes, np.float32), width / scale)
