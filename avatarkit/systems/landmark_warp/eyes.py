"""Eyes: the eyeball is a layer of its own, seen through the opening between the lids.

Lids close over it instead of squashing it, and the iris moves over a white that stays, so it is round everywhere and
nothing beside it is drawn out. The lids' shadow is taken off the eyeball once and laid on again where the lids are.
"""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame, EyePatch, turned_away
from avatarkit.systems.landmark_warp.eyeball import RIM_SHARE, eyeball, lid_shadow
from avatarkit.systems.landmark_warp.openings import (
    Region,
    blend,
    heights,
    rise,
    rise_at,
    smooth_curve,
    soft_mask,
    times,
)
from avatarkit.systems.landmark_warp.tones import Tones
from avatarkit.systems.landmark_warp.wide_irises import Disc, wide_irises

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

RIM_OF_GAP = 0.2
"""Of a narrow opening they take at most this share, above and below."""
RIM_SERVES = (0.4, 0.8)
"""They are shown where the eye is open by more than the first share of the source's opening, wholly from the second."""
SLIT, SLIT_LIGHT = (0.08, 0.4), 0.4
"""Lashes and lid leave a slit this share of the light when an eye is open by the first share of its opening in the
source, and all of it from the second on."""
BALL_SHOWS = (0.08, 0.32)
"""The eyeball is seen where the lids are apart by the first share of their distance in the source, wholly from the
second on: in narrower slits lashes meet, and a ball in their shadow was a black bar with a hook at either corner."""


class EyeLayer:
    """Draws both eyes of a source."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        scale = head_frame(landmarks).scale
        patches = [EyePatch.cut(picture, landmarks, eye, scale) for eye in range(2)]
        irises = wide_irises(patches, [_tracked_iris(landmarks, eye) for eye in range(2)])
        tones = Tones.of(picture, landmarks)
        self._eyes = [eyeball(patches[eye], landmarks, eye, irises[eye], tones) for eye in range(2)]

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw the eyes into a frame (H, W, 3), in place; a closed or averted eye is left to the lids."""
        height, width = frame.shape[:2]
        for eye, ball in enumerate(self._eyes):
            upper = motion.landmarks[list(lm.UPPER_LIDS[eye]), :2]
            lower = motion.landmarks[list(lm.LOWER_LIDS[eye]), :2]
            eye_frame = EyeFrame.of(motion.landmarks, eye, ball.white.drop * motion.pose.scale)
            gap = (lower - upper) @ eye_frame.across
            if gap.max() < 0.6 or eye_frame.width < 3.0 or turned_away(motion.landmarks, eye, motion.pose.rotation):
                continue
            opened = float(gap.max()) / eye_frame.height / ball.opening
            # Lid margins and lashes lie inside the outline, and are the lids': stretched, but not squashed ones.
            rim_px = RIM_SHARE * eye_frame.height * rise_at(opened, *RIM_SERVES)
            inwards = np.minimum(rim_px / np.maximum(gap, 1e-6), RIM_OF_GAP)[:, None]
            inner_upper, inner_lower = upper + inwards * (lower - upper), lower + inwards * (upper - lower)
            outline = np.concatenate([smooth_curve(inner_upper), smooth_curve(inner_lower)[::-1]])
            region = Region.around(outline, 3.0, width, height)
            if region is None:
                continue
            centre = eye_frame.local(motion.landmarks[lm.IRIS_CENTRES[eye], :2])
            local = eye_frame.of_region(region)
            edge, low = (eye_frame.local(smooth_curve(lid)) for lid in (upper, lower))
            slit = np.float32(SLIT_LIGHT + (1.0 - SLIT_LIGHT) * rise_at(opened, *SLIT))
            along = local[..., 0].astype(np.float64)
            top = heights(edge, along)
            colours, room = ball.look(local, centre, opened), heights(low, along) - top
            times(colours, slit * lid_shadow(local[..., 1] - top))
            shown = rise(room / np.float32(ball.opening), *BALL_SHOWS)
            # Beside the ball lie lids and lashes, the darker the farther from the corners.
            widest = (heights(low, edge[:, 0]) - heights(edge, edge[:, 0])).max()
            deep = np.clip(room / np.maximum(widest, np.float32(1e-6)), 0.0, 1.0)
            beside = region.of(frame).astype(np.float32)
            times(beside, np.float32(1.0) - (np.float32(1.0) - slit) * deep)
            colours -= beside
            times(colours, shown)
            colours += beside
            # A nearly closed eye shows less and less of the ball, without a hard last moment.
            opening = float(np.clip(gap.max() / 2.5, 0.0, 1.0))
            blend(region.of(frame), colours, np.float32(opening) * soft_mask(outline, region, 0.008 * eye_frame.width))


def _tracked_iris(landmarks: Array, eye: int) -> Disc:
    frame = EyeFrame.of(landmarks, eye)
    centre = frame.local(landmarks[lm.IRIS_CENTRES[eye], :2])
    rim = frame.local(landmarks[list(lm.IRIS_RIMS[eye]), :2]) - centre
    return Disc(centre, float(np.clip(np.linalg.norm(rim, axis=1).mean(), 0.12, 0.3)))
