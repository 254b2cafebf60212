"""Closed eyelids: skin where the open eye was, and a line of lashes along the lower lid.

A source with open eyes shows next to nothing of its upper lids. Stretching that little smears lashes over the
eye; instead the skin around the eye is continued over it once, and comes into view as the lid comes down.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame, EyePatch, turned_away
from avatarkit.systems.landmark_warp.openings import Region, blend, smooth_curve, soft_mask

Array = NDArray[np.float64]

# In eye widths. Lashes and make-up reach this far beyond the opening; no skin is taken from there.
LASHES_ABOVE, LASHES_BELOW = 0.17, 0.09
LINE_THICKNESS = 0.022
LINE_STRENGTH = 0.85
IRIS_REACH, IRIS_WIDENS = 0.16, 2.5
"""The line is wider where the iris lies behind it: lids bulge there, and lashes let some of it through."""
FADE_IN, FADE_FULL = 0.75, 0.4
"""The lid's skin begins to show below the first openness and is all there below the second."""


@dataclass(frozen=True)
class Lid:
    """One eye's closed lid: the skin over it, and the colour (3,) of its lashes."""

    skin: EyePatch
    lashes: NDArray[np.float32]


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
        eye_frame = EyeFrame.of(motion.landmarks, eye, lid.skin.drop * motion.pose.scale)
        if eye_frame.width < 3.0:
            return
        edge, lower, top = _curves(motion.landmarks[:, :2], eye, eye_frame)
        # A shut lid rests on the lower one and hides its rim too.
        shut = float(np.clip(1.0 - motion.eye_openness[eye] / 0.25, 0.0, 1.0))
        rim = edge + shut * (np.maximum(lower - edge, 0.0) + 0.03 * eye_frame.width * eye_frame.across)
        outline = np.concatenate([top, rim[::-1]])
        region = Region.around(outline, 0.12 * eye_frame.width, frame.shape[1], frame.shape[0])
        if region is None:
            return
        local, part = eye_frame.of_region(region), region.of(frame)
        skin = lid.skin.at(local)
        blend(part, skin, np.float32(share) * soft_mask(outline, region, 0.035 * eye_frame.width))
        line = eye_frame.local((edge + shut * lower) / (1.0 + shut))
        line = line[np.argsort(line[:, 0])]
        off = local[..., 1] - np.interp(local[..., 0], line[:, 0], line[:, 1])
        inside = np.clip((0.5 - np.abs(local[..., 0])) / 0.12, 0.0, 1.0)
        iris = eye_frame.local(motion.landmarks[lm.IRIS_CENTRES[eye], :2])[0]
        near_iris = np.exp(-(((local[..., 0] - iris) / IRIS_REACH) ** 2))
        thickness = LINE_THICKNESS * (1.0 + IRIS_WIDENS * near_iris)
        strength = LINE_STRENGTH * share * np.exp(-((off / thickness) ** 2)) * inside
        blend(part, np.broadcast_to(lid.lashes, skin.shape), strength.astype(np.float32))


def _curves(points: Array, eye: int, frame: EyeFrame) -> tuple[Array, Array, Array]:
    """The edges of the upper and of the lower lid, and the top of what the lid's skin covers, (N, 2) each."""
    upper = points[list(lm.UPPER_LIDS[eye])]
    crease = points[[lm.UPPER_LIDS[eye][0], *lm.UPPER_CREASES[eye], lm.UPPER_LIDS[eye][-1]]]
    top = smooth_curve(0.35 * crease + 0.65 * upper - 0.04 * frame.width * frame.across)
    if abs(frame.along[1]) < 0.5:
        # In an eye that lies level the crease itself is the limit wherever it is higher.
        top = np.minimum(top, smooth_curve(crease))
    return smooth_curve(upper), smooth_curve(points[list(lm.LOWER_LIDS[eye])]), top


def _lid(picture: NDArray[np.uint8], landmarks: Array, eye: int, scale: float) -> Lid:
    """Continue the skin around the eye over it, and read the lashes' colour."""
    patch, frame = EyePatch.cut(picture, landmarks, eye, scale), EyeFrame.of(landmarks, eye)
    upper, lower = (frame.local(landmarks[list(ring[eye]), :2]) for ring in (lm.UPPER_LIDS, lm.LOWER_LIDS))
    a, b = patch.local[..., 0], patch.local[..., 1]
    order = np.argsort(upper[:, 0])
    top = np.interp(a[0], upper[order, 0], upper[order, 1])
    bottom = np.interp(a[0], lower[order, 0], lower[order, 1])
    taper = np.clip((0.62 - np.abs(a[0])) / 0.2, 0.0, 1.0)
    hidden = (b > top - LASHES_ABOVE * taper) & (b < bottom + LASHES_BELOW * taper) & (taper > 0)
    skin = fill_smooth(patch.pixels, (~hidden).astype(np.float32))
    strip = patch.pixels[(np.abs(b - top) < 0.035) & (np.abs(a) < 0.4)]
    light = strip.mean(1)
    dark = strip[light <= np.percentile(light, 25)].mean(0)
    # Pale lashes still cast a shadow on the cheek.
    lashes = np.minimum(dark, 0.6 * skin[hidden].mean(0))
    return Lid(replace(patch, pixels=skin), np.asarray(lashes, np.float32))
