"""A source's eyeball: its white without the iris, the iris as light, and both completed where lids hide them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.systems.landmark_warp.eye_frame import HALF_HEIGHT, HALF_WIDTH, EyeFrame, EyePatch
from avatarkit.systems.landmark_warp.openings import fill, heights, rise, rise_at, smooth_curve
from avatarkit.systems.landmark_warp.tones import Tones
from avatarkit.systems.landmark_warp.wide_irises import Disc

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

RIM_SHARE = 0.03
"""Lashes and lid margins reach this far (in eye widths) into the opening from above and below. No eyeball is read
there; one is drawn there in eyes that are less open than the source's, see `eyes.RIM_SERVES`."""
CORNER_RIM = 0.06
"""And this far along the eye no iris is read: beside it lies a corner's red, or paint."""
LID_SHADOW, SHADOW_REACH = 0.42, 0.05
"""The upper lid's shadow on the eyeball: its depth at the lid, and the distance in eye widths over which it fades."""
CORNER_SHADE = 0.3
"""The eyeball turns away from the light towards the corners of the eye."""
DARKEST_CORNER, CORNER_SMOOTH = 0.5, 0.04
"""Of the usual light of an eye's white, the least that a shaded corner may have, darker ones being no white; shading is
smoothed over this share of the patch's width."""
LEAST_OF_SKIN = 0.6
"""A white that is not seen is at least this share as light as the skin."""
WHITE_CHROMA = 0.5
"""Of the colour of what is seen of an eye's white, the share that belongs to all of it."""
LIMBUS, MOVES = (0.9, 1.12), (1.12, 1.3)
"""The iris runs into the white between the first shares of its radius; what moves with it ends between the second."""
LEAST_WHITE, MOST_GLOSS, GLOSS = 8.0, 4.0, (0.75, 0.95)
"""An iris is a share of the white's light, which counts as at least the first; a share is at most the second, between
these radii ever less and then at most 1: what is brighter at its rim is white."""
ALL_AROUND = 0.85
"""Beside an iris nothing moves with it that is darker than this share of what is usual all around it."""
REMAINS, REMAINS_FADE, BRIGHT_FADE, LIDS_FADE = (1.4, 1.8), (0.15, 0.6), (0.02, 0.15), (0.05, 0.3)
"""What is seen beside an iris between the first radii and is no white, lashes and an iris wider than told, belongs to
the picture of the eye at rest: it goes while the iris moves by the second, in radii, or the opening by the last share
of what it is. What is lighter than the eyeball goes by the third: a lid's margin over a dark iris would shine on the
white that comes there."""
WHITE_LIGHT, WHITE_HUE = (0.65, 0.8), (0.2, 0.4)
"""White is at least this share as light as is usual there, and its channels, over their mean, differ by no more from
the usual white's: below the first and beyond the last of all it is none."""
OF_COLUMN, OF_TALLEST = 0.5, 0.35
"""The white's light is read where it takes the first share of the opening's height, and the second of its largest."""


@dataclass(frozen=True)
class Eyeball:
    """A source's eyeball, completed behind its lids.

    white: without its iris. iris_light: the share of the white's light that the iris sends back, 1 beside it.
    remains: the share of both that is seen while the iris rests. tracked: (2,) where the tracker sees the iris' centre,
    in eye coordinates. radius: of the iris as it is seen. opening: between the lids, both in eye widths.
    """

    white: EyePatch
    iris_light: EyePatch
    remains: EyePatch
    tracked: Array
    radius: float
    opening: float

    def look(self, local: Pixels, centre: Array, opened: float) -> Pixels:
        """Colours (h, w, 3) at eye coordinates (h, w, 2) with the iris tracked at `centre`: it moves alone.

        opened: the share of its opening in the source that the eye is open by.
        """
        shift = (centre - self.tracked).astype(np.float32)
        # All three are of one place and size.
        places = self.white.places(local)
        colours = sample(self.white.pixels, places)
        colours *= sample(self.iris_light.pixels, places - np.float32(self.white.per_width) * shift)
        moved, lids = math.hypot(*shift.tolist()) / self.radius, abs(opened - 1.0)
        dark, bright = (
            np.float32((1.0 - rise_at(moved, *fade)) * (1.0 - rise_at(lids, *LIDS_FADE)))
            for fade in (REMAINS_FADE, BRIGHT_FADE)
        )
        if dark > 0.0:
            remains = sample(self.remains.pixels, places)
            colours *= 1.0 + dark * (np.minimum(remains, 1.0) - 1.0) + bright * (np.maximum(remains, 1.0) - 1.0)
        return colours


def lid_shadow(below: Pixels) -> Pixels:
    """Light (h, w) that the upper lid leaves so far below its edge, in eye widths."""
    depth = np.maximum(below, np.float32(0.0))
    return np.asarray(1.0 - np.float32(LID_SHADOW) * np.exp(depth * np.float32(-1.0 / SHADOW_REACH)), np.float32)


def eyeball(patch: EyePatch, landmarks: Array, eye: int, iris: Disc, tones: Tones) -> Eyeball:
    """Complete what the lids hide of an eyeball.

    Args:
        iris: as it is seen. tones: of the picture.
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
    lit = patch.pixels / lid_shadow(local[..., 1] - heights(upper, local[..., 0]))[..., None]
    beside_px = max(1, round(CORNER_RIM * patch.per_width))
    inside = np.asarray(cv2.erode(clear.astype(np.uint8), np.ones((1, 2 * beside_px + 1), np.uint8)), bool)
    completed = _completed(lit, clear, inside, local, iris, tones)
    white, light, remains = (patch.with_pixels(pixels) for pixels in completed)
    opening = max(float((below - above)[:, 1].max()), 0.02)
    tracked = frame.local(landmarks[lm.IRIS_CENTRES[eye], :2])
    return Eyeball(white, light, remains, tracked, iris.radius, opening)


def _completed(
    lit: Pixels, seen: NDArray[np.bool_], inside: NDArray[np.bool_], local: Pixels, disc: Disc, tones: Tones
) -> tuple[Pixels, Pixels, Pixels]:
    """The eyeball with its hidden part: a rounded white, an iris of rings as light, and what remains at rest.

    Args:
        lit: (h, w, 3) without the lid's shadow. seen: (h, w) no lids. inside: (h, w) nor what lies at the corners.
        local: eye coordinates (h, w, 2). tones: of the picture; the skin's say how light a white may be that nothing
            is seen of.
    """
    if np.count_nonzero(seen) < 12:
        return lit, np.ones_like(lit), np.ones_like(lit)
    distance = np.linalg.norm(local - disc.middle.astype(np.float32), axis=2) / np.float32(disc.radius)
    rounding = 1.0 - np.float32(CORNER_SHADE) * np.clip(np.abs(local[..., 0]) / 0.5, 0.0, 1.0) ** 2
    white, like = _white(lit, seen, distance > 1.15, rounding, tones)
    iris = _rings(lit, inside if np.count_nonzero(inside & (distance < 1.0)) > 12 else seen, distance)
    share = rise(distance, *LIMBUS)[..., None]
    whole = (iris + share * (white - iris)).astype(np.float32)
    whole += _softly(inside) * (lit - whole)
    still = rise(distance, *MOVES)[..., None]
    own = still * np.maximum(like, rise(distance, *REMAINS))[..., None] * _softly(seen)
    white = np.clip(white + own * (lit - white), LEAST_WHITE, 255.0).astype(np.float32)
    light = _light(whole / white, inside, distance)
    light = np.asarray(light + still * (1.0 - light), np.float32)
    return white, light, np.clip(lit / np.maximum(white * light, 1.0), 0.0, MOST_GLOSS).astype(np.float32)


def _light(light: Pixels, seen: NDArray[np.bool_], distance: Pixels) -> Pixels:
    """An iris as light (h, w, 3) without what lies on one side of it alone: lashes, a corner.

    Args:
        seen: (h, w). distance: (h, w) from its middle, in radii.
    """
    light = np.clip(light, 0.0, 1.0 + (MOST_GLOSS - 1.0) * (1.0 - rise(distance, *GLOSS)[..., None]))
    rings = np.clip(((distance - 1.0) * 16.0).astype(int), 0, 5)
    around = seen & (distance > 1.0)
    full = [ring for ring in range(6) if (around & (rings == ring)).any()]
    if not full:
        return np.asarray(light, np.float32)
    levels = np.array([np.percentile(light[around & (rings == ring)], 70, axis=0) for ring in full])
    at = np.clip((distance - 1.0) * 16.0 - 0.5, 0.0, 5.0)
    least = np.stack([np.interp(at, full, levels[:, k]) for k in range(3)], axis=2)
    return np.asarray(np.maximum(light, rise(distance, 1.0, 1.1)[..., None] * ALL_AROUND * least), np.float32)


def _softly(mask: NDArray[np.bool_]) -> Pixels:
    """A mask (h, w) as coverage (h, w, 1) that fades within it."""
    import cv2

    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(1.0, 0.012 * mask.shape[1]))
    return np.asarray(np.clip(2.0 * soft - 1.0, 0.0, 1.0)[..., None], np.float32)


def _rings(lit: Pixels, seen: NDArray[np.bool_], distance: Pixels) -> Pixels:
    """An iris (h, w, 3) of rings: what is seen of it at a distance from its middle, in radii, is there all around."""
    rings = np.clip((distance * 16.0).astype(int), 0, 15)
    counts = np.bincount(rings[seen], minlength=16)
    sums = np.stack([np.bincount(rings[seen], lit[..., k][seen], minlength=16) for k in range(3)], axis=1)
    full = np.flatnonzero(counts >= 3)
    if not len(full):
        return lit
    levels = sums[full] / counts[full, None]
    at = np.clip(distance * 16.0 - 0.5, 0.0, 15.0)
    return np.stack([np.interp(at, full, levels[:, k]) for k in range(3)], axis=2).astype(np.float32)


def _white(
    lit: Pixels, seen: NDArray[np.bool_], beside: NDArray[np.bool_], rounding: Pixels, tones: Tones
) -> tuple[Pixels, Pixels]:
    """The eyeball's white (h, w, 3) everywhere, and how far (h, w) what is there looks like it.

    It is as it is seen, and away from that of its usual colour, rounded.

    Args:
        seen: (h, w) no lids. beside: (h, w) no iris.
    """
    import cv2

    flat = lit / rounding[..., None]
    light = flat.mean(2)
    usual = np.asarray(tones.shown(0.75 * tones.skin.mean() + 0.25 * tones.skin + 12.0), np.float32)
    guessed = np.broadcast_to(usual * rounding[..., None], lit.shape), np.ones_like(light)
    if np.count_nonzero(seen & beside) < 12:
        return guessed
    # Lashes, corners and reflections are no white; but one corner may lie in the shadow of the nose.
    middle = np.maximum(_level_along(light, seen, beside), np.float32(1.0))
    good = seen & beside & (light > 0.75 * middle) & (light < 1.3 * middle)
    if not good.any():
        return guessed
    usual = np.asarray(np.median((flat / middle[..., None])[good], axis=0), np.float32)
    aside = np.abs(flat / np.maximum(light, 1.0)[..., None] - usual / max(float(usual.mean()), 1e-6)).max(2)
    like = rise(light / middle, *WHITE_LIGHT) * (1.0 - rise(aside, *WHITE_HUE))
    good = good & (like > 0.5) if (good & (like > 0.5)).any() else good
    # What is seen of a narrow eye's white is mostly its rim, red and in the lashes' shadow.
    # In a toned picture its colour is the picture's.
    usual = usual.mean() + (1.0 - tones.share * (1.0 - WHITE_CHROMA)) * (usual - usual.mean())
    usual = usual * np.maximum(middle, LEAST_OF_SKIN * tones.skin.mean())[..., None]
    near = fill_smooth(flat, good.astype(np.float32))
    away = cv2.distanceTransform((~good).astype(np.uint8), cv2.DIST_L2, 3) / np.float32(0.06 * lit.shape[1])
    return np.asarray((usual + np.exp(-away)[..., None] * (near - usual)) * rounding[..., None], np.float32), like


def _level_along(light: Pixels, seen: NDArray[np.bool_], beside: NDArray[np.bool_]) -> Pixels:
    """The light (1, w) of an eye's white along the eye: what is bright in each column, smooth, never very dark."""
    import cv2

    white = seen & beside
    all_over = float(np.percentile(light[white], 65))
    counts, heights_px = np.count_nonzero(white, axis=0), np.count_nonzero(seen, axis=0)
    columns = np.flatnonzero(counts >= np.maximum(np.maximum(OF_COLUMN * heights_px, OF_TALLEST * heights_px.max()), 3))
    levels = np.array([float(np.percentile(light[white[:, column], column], 65)) for column in columns])
    # Darker ones are lashes and paint: there it is as light as beside them.
    lit = levels >= DARKEST_CORNER * all_over
    if not lit.any():
        return np.full((1, light.shape[1]), all_over, np.float32)
    line = np.interp(np.arange(light.shape[1]), columns[lit], np.minimum(levels[lit], 1.2 * all_over))
    sigma = CORNER_SMOOTH * light.shape[1]
    return np.asarray(cv2.GaussianBlur(line[None].astype(np.float32), (0, 0), sigma), np.float32)
