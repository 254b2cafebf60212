"""Eyes: the eyeball is a layer of its own, seen through the opening between the lids.

Lids close over it instead of squashing it, and the iris slides within it, so it stays round. The lids' shadow is
taken off the eyeball once and laid on again where the lids are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eye_frame import HALF_HEIGHT, HALF_WIDTH, EyeFrame, EyePatch, turned_away
from avatarkit.systems.landmark_warp.openings import Region, blend, fill, heights, rise, smooth_curve, soft_mask
from avatarkit.systems.landmark_warp.skin import skin_colour
from avatarkit.systems.landmark_warp.wide_irises import Disc, wide_irises

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

RIM_SHARE = 0.03
"""Lashes and lid margins reach this far (in eye widths) into the opening; no eyeball is read or drawn there."""
RIM_OF_GAP = 0.2
"""Of a narrow opening they take at most this share, above and below."""
RIM_SERVES = (0.4, 0.8)
"""They are shown where the eye is open by more than the first share of the source's opening, wholly from the second."""
STIFFNESS = 0.85
"""The white beside the iris is squeezed at most by this share when the iris moves."""
LID_SHADOW, SHADOW_REACH = 0.42, 0.05
"""The upper lid's shadow on the eyeball: its depth at the lid, and the distance in eye widths over which it fades."""
SLIT, SLIT_LIGHT = (0.08, 0.4), 0.4
"""Lashes and lid leave a slit this share of the light when an eye is open by the first share of its opening in the
source, and all of it from the second on."""
BALL_SHOWS = (0.08, 0.32)
"""The eyeball is seen where the lids are apart by the first share of their distance in the source, wholly from the
second on: in narrower slits lashes meet, and a ball in their shadow was a black bar with a hook at either corner."""
CORNER_SHADE = 0.3
"""The eyeball turns away from the light towards the corners of the eye."""
DARKEST_CORNER, CORNER_SMOOTH = 0.45, 0.04
"""Of the usual light of an eye's white, the least that a shaded corner may have; shading is smoothed over this share
of the patch's width."""
WHITE_CHROMA = 0.5
"""Of the colour of what is seen of an eye's white, the share that belongs to all of it."""
LIMBUS = (0.9, 1.12)
"""The iris runs into the white between these shares of its radius."""


@dataclass(frozen=True)
class Eyeball:
    """A source's eyeball, completed behind its lids.

    tracked: (2,) where the tracker sees the iris' centre, in eye coordinates. iris: as it is seen. opening: between the
    lids, in eye widths.
    """

    patch: EyePatch
    tracked: Array
    iris: Disc
    opening: float


class EyeLayer:
    """Draws both eyes of a source."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        scale = head_frame(landmarks).scale
        patches = [EyePatch.cut(picture, landmarks, eye, scale) for eye in range(2)]
        irises = wide_irises(patches, [_tracked_iris(landmarks, eye) for eye in range(2)])
        skin = skin_colour(picture, landmarks)
        self._eyes = [_eyeball(patches[eye], landmarks, eye, irises[eye], skin) for eye in range(2)]

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw the eyes into a frame (H, W, 3), in place; a closed or averted eye is left to the lids."""
        height, width = frame.shape[:2]
        for eye, ball in enumerate(self._eyes):
            upper = motion.landmarks[list(lm.UPPER_LIDS[eye]), :2]
            lower = motion.landmarks[list(lm.LOWER_LIDS[eye]), :2]
            gap = (lower - upper)[:, 1]
            eye_frame = EyeFrame.of(motion.landmarks, eye, ball.patch.drop * motion.pose.scale)
            if gap.max() < 0.6 or eye_frame.width < 3.0 or turned_away(motion.landmarks, eye):
                continue
            opened = np.array(gap.max() / eye_frame.height / ball.opening)
            # Lid margins and lashes lie inside the outline, and are the lids': stretched, but not squashed ones.
            rim_px = RIM_SHARE * eye_frame.height * rise(opened, *RIM_SERVES)
            inwards = np.minimum(rim_px / np.maximum(gap, 1e-6), RIM_OF_GAP)[:, None]
            inner_upper, inner_lower = upper + inwards * (lower - upper), lower + inwards * (upper - lower)
            outline = np.concatenate([smooth_curve(inner_upper), smooth_curve(inner_lower)[::-1]])
            region = Region.around(outline, 3.0, width, height)
            if region is None:
                continue
            centre = eye_frame.local(motion.landmarks[lm.IRIS_CENTRES[eye], :2])
            local = eye_frame.of_region(region)
            edge, slit = eye_frame.local(smooth_curve(upper)), _slit(opened)
            colours = _look(ball, local, centre) * (_shadow(local, edge) * slit)[..., None]
            room = heights(eye_frame.local(smooth_curve(lower)), local[..., 0]) - heights(edge, local[..., 0])
            shown = rise(room / np.float32(ball.opening), *BALL_SHOWS)[..., None]
            # Beside the ball lie lids and lashes, the darker the farther from the corners.
            deep = np.clip(room / np.maximum(room.max(), np.float32(1e-6)), 0.0, 1.0)  # a cut eye may be all corner
            beside = region.of(frame) * (1.0 - (1.0 - slit) * deep)[..., None]
            colours = np.asarray(beside + shown * (colours - beside), np.float32)
            # A nearly closed eye shows less and less of the ball, without a hard last moment.
            opening = float(np.clip(gap.max() / 2.5, 0.0, 1.0))
            blend(region.of(frame), colours, np.float32(opening) * soft_mask(outline, region, 0.008 * eye_frame.width))


def _look(ball: Eyeball, local: NDArray[np.float32], centre: Array) -> NDArray[np.float32]:
    """Colours (h, w, 3) of the eyeball with its iris tracked at `centre`: it moves whole, the white gives way."""
    core = 1.15 * ball.iris.radius
    free = max(0.62 - abs(float(ball.iris.middle[0])) - core, 0.12)
    shift = centre - ball.tracked
    length = float(np.linalg.norm(shift))
    if length > 1e-9:
        shift = shift * min(1.0, STIFFNESS * free / length)
    now = (ball.iris.middle + shift).astype(np.float32)
    # NumPy's norm of pairs takes several times as long.
    x, y = local[..., 0] - now[0], local[..., 1] - now[1]
    distance = np.sqrt(x * x + y * y)
    share = np.clip(1.0 - (distance - core) / free, 0.0, 1.0)[..., None]
    source = local - share * shift.astype(np.float32)
    return ball.patch.at(source)


def _shadow(local: Pixels, upper: Array) -> Pixels:
    """Light (h, w) that the upper lid leaves; `upper` is its edge (N, 2) in eye coordinates."""
    depth = np.maximum(local[..., 1] - heights(upper, local[..., 0]), 0.0)
    return np.asarray(1.0 - np.float32(LID_SHADOW) * np.exp(depth * np.float32(-1.0 / SHADOW_REACH)), np.float32)


def _slit(opened: Array) -> Pixels:
    """Light that reaches the ball of an eye that is open by this share of its opening in the source."""
    return np.asarray(SLIT_LIGHT + (1.0 - SLIT_LIGHT) * rise(opened, *SLIT), np.float32)


def _tracked_iris(landmarks: Array, eye: int) -> Disc:
    frame = EyeFrame.of(landmarks, eye)
    centre = frame.local(landmarks[lm.IRIS_CENTRES[eye], :2])
    rim = frame.local(landmarks[list(lm.IRIS_RIMS[eye]), :2]) - centre
    return Disc(centre, float(np.clip(np.linalg.norm(rim, axis=1).mean(), 0.12, 0.3)))


def _eyeball(patch: EyePatch, landmarks: Array, eye: int, iris: Disc, skin: Pixels) -> Eyeball:
    """Complete what the lids hide of an eyeball.

    Args:
        iris: as it is seen. skin: (3,) the usual colour of the skin.
    """
    import cv2

    frame = EyeFrame.of(landmarks, eye)
    above, below = (frame.local(landmarks[list(lids[eye]), :2]) for lids in (lm.UPPER_LIDS, lm.LOWER_LIDS))
    outline = np.concatenate([above, below[::-1]])
    seen = fill((outline + np.array([HALF_WIDTH, HALF_HEIGHT])) * patch.per_width, patch.pixels.shape[:2])
    rim_px = max(1, round(RIM_SHARE * patch.per_width))
    clear = np.asarray(cv2.erode(seen, np.ones((2 * rim_px + 1, 3), np.uint8)), bool)
    local = patch.local.astype(np.float32)
    upper = frame.local(smooth_curve(landmarks[list(lm.UPPER_LIDS[eye]), :2]))
    lit = patch.pixels / _shadow(local, upper)[..., None]
    whole = _completed(lit, clear, local, iris.middle, iris.radius, skin)
    opening = max(float((below - above)[:, 1].max()), 0.02)
    tracked = frame.local(landmarks[lm.IRIS_CENTRES[eye], :2])
    return Eyeball(patch.with_pixels(whole), tracked, iris, opening)


def _completed(
    lit: Pixels, seen: NDArray[np.bool_], local: Pixels, centre: Array, radius: float, skin: Pixels
) -> Pixels:
    """The patch with the hidden part of the eyeball: a rounded white, and an iris of rings.

    Args:
        lit: (h, w, 3) without the lid's shadow. seen: (h, w). local: eye coordinates (h, w, 2).
        skin: (3,) the usual colour of the skin, which says how light a white may be that nothing is seen of.
    """
    import cv2

    if np.count_nonzero(seen) < 12:
        return lit
    distance = np.linalg.norm(local - centre.astype(np.float32), axis=2) / np.float32(radius)
    rounding = 1.0 - np.float32(CORNER_SHADE) * np.clip(np.abs(local[..., 0]) / 0.5, 0.0, 1.0) ** 2
    white = _white(lit, seen & (distance > 1.15), rounding, skin)
    # Rings: what is seen of the iris at a distance from its middle is there all around.
    rings = np.clip((distance * 16.0).astype(int), 0, 15)
    counts = np.bincount(rings[seen], minlength=16)
    sums = np.stack([np.bincount(rings[seen], lit[..., k][seen], minlength=16) for k in range(3)], axis=1)
    full = np.flatnonzero(counts >= 3)
    if not len(full):
        return lit
    levels = sums[full] / counts[full, None]
    at = np.clip(distance * 16.0 - 0.5, 0.0, 15.0)
    iris = np.stack([np.interp(at, full, levels[:, k]) for k in range(3)], axis=2)
    share = np.clip((distance - LIMBUS[0]) / (LIMBUS[1] - LIMBUS[0]), 0.0, 1.0)[..., None]
    whole = (iris + share * (white - iris)).astype(np.float32)
    soft = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), max(1.0, 0.012 * seen.shape[1]))
    soft = np.clip(2.0 * soft - 1.0, 0.0, 1.0)[..., None]
    return np.asarray(np.clip(whole + soft * (lit - whole), 0.0, 255.0), np.float32)


def _white(lit: Pixels, seen: NDArray[np.bool_], rounding: Pixels, skin: Pixels) -> Pixels:
    """The eyeball's white (h, w, 3) everywhere: as it is seen, and its usual colour, rounded, away from that."""
    import cv2

    flat = lit / rounding[..., None]
    light = flat.mean(2)
    if np.count_nonzero(seen) < 12:
        usual = np.asarray(0.75 * skin.mean() + 0.25 * skin + 12.0, np.float32)
        return np.broadcast_to(usual * rounding[..., None], lit.shape)
    # Lashes, corners and reflections are no white; but one corner may lie in the shadow of the nose.
    middle = _level_along(light, seen)
    good = seen & (light > 0.75 * middle) & (light < 1.3 * middle)
    usual = np.asarray(np.median((flat / middle[..., None])[good], axis=0), np.float32)
    # What is seen of a narrow eye's white is mostly its red rim.
    usual = (usual.mean() + WHITE_CHROMA * (usual - usual.mean())) * middle[..., None]
    near = fill_smooth(flat, good.astype(np.float32))
    away = cv2.distanceTransform((~good).astype(np.uint8), cv2.DIST_L2, 3) / np.float32(0.06 * lit.shape[1])
    return np.asarray((usual + np.exp(-away)[..., None] * (near - usual)) * rounding[..., None], np.float32)


def _level_along(light: Pixels, seen: NDArray[np.bool_]) -> Pixels:
    """The light (1, w) of an eye's white along the eye: what is bright in each column, smooth, never very dark."""
    import cv2

    all_over = float(np.percentile(light[seen], 65))
    columns = np.flatnonzero(np.count_nonzero(seen, axis=0) >= 3)
    if not len(columns):
        return np.full((1, light.shape[1]), all_over, np.float32)
    levels = [float(np.percentile(light[seen[:, column], column], 65)) for column in columns]
    line = np.interp(np.arange(light.shape[1]), columns, np.clip(levels, DARKEST_CORNER * all_over, 1.2 * all_over))
    sigma = CORNER_SMOOTH * light.shape[1]
    return np.asarray(cv2.GaussianBlur(line[None].astype(np.float32), (0, 0), sigma), np.float32)
