"""The inside of the mouth: the source's own where it shows one, drawn teeth and cavity where it does not.

Upper teeth belong to the skull and lower ones to the jaw: lips slide over them and hide them.
"""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.visibility import mouth_covered
from avatarkit.geometry.sampling import sample_at
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.round_lips import roundness
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.corners import clear_corners
from avatarkit.systems.landmark_warp.crease import crease
from avatarkit.systems.landmark_warp.mouth_floor import DIM, MouthFloor
from avatarkit.systems.landmark_warp.openings import (
    Region,
    blend,
    heights,
    lay,
    rise,
    rise_at,
    smooth_curve,
    smooth_ring,
    soft_mask,
    times,
)
from avatarkit.systems.landmark_warp.own_mouth import PARTED_GAP, OwnMouth
from avatarkit.systems.landmark_warp.skin import blur_around_mouth, film_grain
from avatarkit.systems.landmark_warp.teeth import lower_row, palette, upper_row
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane, lips_at_rest
from avatarkit.systems.protocol import SeenTeeth

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

# Lengths in head units (distance of the outer eye corners, about 9 cm).
TEETH_BELOW_LINE = 0.03
"""The upper teeth end this far below the line where the lips meet at rest; they stay with the skull."""
HIGHEST_SMILE = 0.1
"""An upper lip rises this far above the edge of the teeth: to a narrow strip of gum. Where landmarks say more, the
whole head has moved in a way that its pose does not tell, and the teeth go with the lip."""
GUM_BARED = 0.015
"""It rises by this over where a photo shows it above its own teeth, however far that is."""
LOWER_TEETH_SHOWN, SPREAD_SHOWS = 0.02, 0.12
"""The lower teeth stand this far above the lower lip, and farther by this share of how much a mouth is spread: a grin
bares them as far as jaws that are together, and a round mouth hides them."""
USUAL_WIDTH = 0.5
"""Width of an opening from which on a mouth is spread, whatever the source's."""
JAWS_PART = (0.02, 0.05)
"""Between rows of teeth less far apart all is dusk, between those farther apart than the second is a tongue."""
BITE_SHADE = (0.72, 0.05)
"""The light right below the upper teeth, where lower ones are near, and how far their shadow reaches."""
WIDENED = (1.0, 1.06)
"""Over the width of the source's mouth: beside its own teeth a wider one shows drawn ones, in full from the second."""
UNDER = 0.3
"""Share of its own teeth that is gone where the drawn ones under them are all there."""
BARED = 0.02
"""The same where the lips are this much farther apart than in the source."""
LOWER_LIT = 0.78
"""Light of the lower teeth over that of the upper ones."""
STRIP_SHADED = 0.9
"""A strip of teeth is seen in the shadow of the lips and takes their colour: a row that comes into the light has at
least this share of what teeth have in the picture's light."""
CLOSED, SLIT = 0.008, (0.006, 0.03)
"""Lips less far apart than the first are closed. Between those that are hardly farther apart lies less and less of what
is behind them, and their own colour instead: all of it from the second of the next two on, nothing up to the first."""
SQUEEZED = (0.7, 0.004)
"""How far the opening of a source whose mouth closes is covered beyond its rim, in pixels and in head units."""
CREASE_SHOWN = (0.004, 0.04)
"""Lips so much farther apart than in the source begin to show what was the line between them, and show all of it."""
BOUNCED, FLESH_GREY = 0.2, 0.5
"""Light that flesh throws into the shade, over that outside, and what of its lightest channel adds no colour to it."""
CHEEK_SHADE, CHEEK_REACH = 0.58, 0.22
"""Light at the corners of the mouth, and how far from them cheeks shade what is inside, in widths of the mouth."""
ROLLS = (0.06, 0.26)
"""So far from the corners, in widths of the mouth, lips begin to turn inwards, and do so wholly."""
LOWER_ROLL, UPPER_ROLL = 0.016, 0.01
"""Lips turn inwards over this length."""


class MouthLayer:
    """Draws the inside of a source's mouth."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array, teeth: SeenTeeth | None = None) -> None:
        self._covered = mouth_covered(picture, landmarks)
        pose = head_frame(landmarks)
        self._rest = lips_at_rest(landmarks, pose)
        self._colours = palette(picture, landmarks)
        self._edge = TEETH_BELOW_LINE
        if teeth is not None:
            self._colours = self._colours.with_teeth(np.asarray(teeth.colour, np.float32))
            self._edge = teeth.edge
        self._plane = ToothPlane.of(pose, self._rest)
        top, bottom = self._plane.lips(landmarks)
        self._width = float(top[-1, 0] - top[0, 0])
        self._own = None
        self._crease = crease(picture, landmarks, pose)
        self._parted = max(float((bottom[:, 1] - top[:, 1]).max()), 0.0)
        self._ends_apart = _ends_apart(landmarks) / pose.scale
        if self._parted > PARTED_GAP:
            self._own = OwnMouth(picture, self._plane, top, bottom, self._colours.hue)
            if self._own.teeth is not None:
                own = self._own.teeth
                if not self._own.row:
                    own = np.maximum(own, np.float32(STRIP_SHADED) * self._colours.teeth)
                self._colours = self._colours.with_teeth(own)
                self._edge = self._edge if self._own.edge is None else self._own.edge
            if self._own.open or self._own.teeth is not None:
                self._crease = np.zeros(len(bottom))
        flesh = self._colours.cavity / max(float(self._colours.cavity.max()), 1.0)
        self._bounce = np.float32(BOUNCED) * (flesh - np.float32(FLESH_GREY))
        self._scale = pose.scale
        self._grain = film_grain(picture, landmarks, (int(0.9 * pose.scale), int(1.2 * pose.scale)))
        self._floor = MouthFloor.of(self._colours)
        blur = blur_around_mouth(picture, landmarks)
        self._upper, self._lower = upper_row(self._colours, blur), lower_row(self._colours.lit(LOWER_LIT), blur)

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw what is seen between the lips into a frame (H, W, 3), in place."""
        upper = motion.landmarks[list(lm.INNER_LIP_UPPER), :2]
        lower = motion.landmarks[list(lm.INNER_LIP_LOWER), :2]
        scale = motion.pose.scale
        gap = float(np.linalg.norm(lower - upper, axis=1).max()) / scale
        # A tracker guesses lips behind a mask or a hand, and may guess them apart.
        if self._covered or (gap < CLOSED and self._parted <= PARTED_GAP):
            return
        down = motion.pose.rotation[:2, 1]
        lower = lower + scale * self._crease_shown(motion) * down
        if self._parted > PARTED_GAP:
            # The frame holds the source's wider opening below, squeezed into steps: its rim is covered as well.
            squeezed = max(1.0 - gap / self._parted, 0.0) * (SQUEEZED[0] + SQUEEZED[1] * scale)
            upper, lower = upper - squeezed * down, lower + squeezed * down
        round_by = roundness(gap * scale, float(np.linalg.norm(upper[-1] - upper[0])))
        upper, lower = _edges(upper, lower, round_by)
        outline = np.concatenate([upper, lower[::-1]])
        region = Region.around(outline, 3.0, frame.shape[1], frame.shape[0])
        if region is None:
            return
        clear_corners(frame, motion, self._opened(motion))
        skull = ToothPlane.of(motion.pose, self._rest)
        s, d = skull.places(region)
        top, bottom = skull.lips(motion.landmarks)
        bottom[:, 1] += self._crease_shown(motion)[:, 0]
        top, bottom = _edges(top, bottom, round_by)
        high, low = heights(top, s), heights(bottom, s)
        above, below = d - high, low - d
        apart = float((bottom[:, 1] - top[:, 1]).max())
        alike = 0.0 if self._own is None else self._own.likeness(apart)
        if alike < 1.0:
            colours = self._drawn(skull, s, d, (top, high), (bottom, low))
            self._shade(colours, above, below, _from_corners(s, top), round_by)
            if self._grain is not None:
                # It goes with the head as that of the skin beside it does.
                rows, columns = self._grain.shape
                scale_px = np.float32(self._scale)
                places = s * scale_px + np.float32(columns / 2), d * scale_px + np.float32(rows / 3)
                times(colours, sample_at(self._grain, *places))
        if self._own is not None and alike > 0.0:
            across = (s - np.float32(top[0, 0])) / np.float32(max(top[-1, 0] - top[0, 0], 1e-6))
            down = np.clip(above / np.maximum(above + below, 1e-4), 0.0, 1.0)
            own = self._own.whole(across, down, np.maximum(above + below, 0.0))
            colours = own if alike >= 1.0 else colours + np.float32(alike) * (own - colours)
        if gap < SLIT[1]:
            # Lips that all but touch leave a line of their own colour in the shade, and hide the teeth; what the source
            # shows between lips that are hardly parted stays while they are.
            seen = rise_at(gap, *SLIT)
            if self._parted > PARTED_GAP:
                seen = max(seen, alike * rise_at(apart, SLIT[0], min(self._parted, SLIT[1])))
            colours += np.float32(1.0 - seen) * (self._colours.upper_lip - colours)
        blend(region.of(frame), colours, soft_mask(outline, region, 0.007 * scale))

    def _crease_shown(self, motion: DriveFrame) -> Array:
        """What is seen of the line where the lips met (N, 1) in head units: all of it, once they are well apart."""
        return self._crease[:, None] * rise_at(self._opened(motion), *CREASE_SHOWN)

    def _opened(self, motion: DriveFrame) -> float:
        """How much farther apart than in the source the lips are, in head units."""
        return _ends_apart(motion.landmarks) / motion.pose.scale - self._ends_apart

    def _drawn(
        self, skull: ToothPlane, s: Pixels, d: Pixels, upper: tuple[Array, Pixels], lower: tuple[Array, Pixels]
    ) -> Pixels:
        """Teeth, tongue and cavity, (h, w, 3), from the back to the front.

        Args:
            skull: the plane of the teeth. s, d: places in it. upper, lower: edges (N, 2) of the lips in it, and their
                heights (h, w) at the places.
        """
        (top, high), (bottom, low) = upper, lower
        lip, jaw = float(top[len(top) // 2, 1]), bottom[len(bottom) // 2]
        wide = float(top[-1, 0] - top[0, 0]) / max(self._width, 1e-6)
        gap = np.maximum(low - high, 1e-4)
        own = self._own
        share = 0.0 if own is None else own.share(float((bottom[:, 1] - top[:, 1]).max()))
        highest = HIGHEST_SMILE
        if own is not None:
            highest = max(highest, own.height + GUM_BARED)
        lifted = max(self._edge - highest - lip, 0.0)
        spread = max(wide - 1.0, (float(top[-1, 0] - top[0, 0]) - USUAL_WIDTH) / USUAL_WIDTH)
        shown = LOWER_TEETH_SHOWN + SPREAD_SHOWS * spread
        drawn_jaw = own is None or not own.open
        lit = rise_at(float(jaw[1]) - shown - self._edge + lifted, *JAWS_PART) if drawn_jaw else 1.0
        dark = np.float32(DIM) * (np.float32(0.2) * self._colours.cavity + np.float32(0.8) * self._colours.tongue)
        if lit > 0.0:
            colours = self._floor.at(s - np.float32(jaw[0]), (low - d) / gap, gap)
            if lit < 1.0:
                colours = dark + np.float32(lit) * (colours - dark)
        else:
            colours = np.empty((*s.shape, 3), np.float32)
            colours[:] = dark
        if drawn_jaw:
            self._lay_lower(colours, skull, (s, d, low), jaw, shown, lifted)
        elif own is not None:
            own.lay_lower(colours, s, d, jaw)
        if own is None or share <= 0.0:
            part = _rows(d < self._edge + 0.15)
            a, b = skull.on_arch(s[part], d[part])
            if own is not None:
                a, b = own.fit.places(a), b - own.bend(a)
            row, cover = self._upper.at(a, b - np.float32(self._edge - lifted))
            lay(colours[part], row, cover)
            return colours
        a, b = skull.on_arch(s, d)
        row, cover = self._upper.at(own.fit.places(a), b - own.bend(a) - np.float32(self._edge - lifted))
        s, d = skull.on_arch(s, d + np.float32(lifted), since=self._plane)
        # In a mouth that is wider, or more open at its sides or above, more is seen than the lips left free.
        bared = np.maximum(rise(gap - own.gap(s), 0.0, BARED), np.float32(rise_at(wide, *WIDENED)))
        above, beside = bared * own.above(s, d), bared * own.beside(s)
        # They are there before its own have gone: the dark behind both would be a line.
        cover *= np.float32(1.0 - share) + np.float32(share) * rise(np.maximum(above, beside), 0.0, UNDER)
        row = row * (np.float32(1.0) + np.float32(share) * (own.light(s) - np.float32(1.0)))[..., None]
        lay(colours, row, cover)
        own.lay_upper(colours, s, d, np.float32(share) * (np.float32(1.0) - above))
        return colours

    def _lay_lower(
        self, colours: Pixels, skull: ToothPlane, places: tuple[Pixels, ...], jaw: Array, shown: float, lifted: float
    ) -> None:
        """Lay the lower teeth over colours (h, w, 3), in place.

        Args:
            skull: the plane of the teeth. places: in it (h, w), and the height of the lower lip there. jaw: (2,) the
                middle of that lip. shown: how far they stand above it. lifted: see `_drawn`.
        """
        s, d, low = places
        upper = self._edge - lifted
        # They rise from behind the lip, and do not fade in; between jaws that close they vanish behind the upper ones.
        edge = float(jaw[1]) - shown
        if shown <= 0.0:
            return
        # Seen from above, the arch of a jaw that is open bends up as the lip does.
        bent = 0.75 * rise_at(edge - upper, 0.0, 0.1)
        part = _rows(d > np.float32(edge - 0.16 * bent - 0.02))
        a, b = skull.on_arch(s[part] - np.float32(jaw[0]), d[part])
        beyond = np.float32(edge) - b
        if bent > 0.0:
            beyond += np.float32(bent) * np.clip(low[part] - np.float32(jaw[1]), np.float32(-0.16), np.float32(0.0))
        row, cover = self._lower.at(a, beyond)
        lay(colours[part], row, cover)
        apart = edge - upper
        if apart < BITE_SHADE[1]:
            near = _rows((d < np.float32(upper + BITE_SHADE[1])) & (d > np.float32(edge)))
            dark = np.float32((1.0 - BITE_SHADE[0]) * min(2.0 - 2.0 * apart / BITE_SHADE[1], 1.0))
            shade = np.float32(1.0) - dark + dark * rise(d[near] - upper, 0.0, BITE_SHADE[1])
            for channel in range(3):
                colours[near, :, channel] *= shade

    def _shade(self, colours: Pixels, above: Pixels, below: Pixels, inwards: Pixels, round_by: float) -> None:
        """Lay the shadow of the lips on what is inside, and turn the lips inwards, in place.

        Args:
            above, below, inwards: (h, w) how far from the upper lip, the lower one, and the nearer corner of the
                mouth in widths of it. round_by: how round the opening is, 0 to 1.
        """
        gap = np.maximum(above + below, 0.0)
        light = 0.55 + 0.45 * rise(above, -0.01, 0.06)
        light *= 0.75 + 0.25 * rise(gap, 0.02, 0.1)
        # The sides of a round opening are no corners: black there would be a rim around the tongue.
        shaded = (1.0 - CHEEK_SHADE) * (1.0 - round_by)
        light *= np.float32(1.0 - shaded) + np.float32(shaded) * rise(inwards, 0.0, CHEEK_REACH)
        floor = self._own is not None and self._own.open
        if self._own is not None and (floor or self._own.teeth is not None):
            # Its own shadow is in the source's picture where the lip still is.
            light = 0.5 + 0.5 * light
        # What is in the shade is lit by the flesh around it.
        shadow = np.float32(1.0) - light
        for channel, flesh in enumerate(self._bounce):
            colours[..., channel] *= light + shadow * flesh
        # The lower lip's turn lies in the source's picture too, where that shows what lies before it.
        turned = [(UPPER_ROLL, above, 0.6, self._colours.upper_lip), (LOWER_ROLL, below, 0.8, self._colours.lower_lip)]
        for length, inside, most, lip in turned[: 1 if floor else 2]:
            near = _rows(inside < length)
            roll = np.float32(most) * rise(length - inside[near], 0.0, length) * rise(gap[near], 0.05, 0.15)
            # Beside a high opening the lip's edge is upright: what turns in there would be a thread.
            roll *= rise(inwards[near], *ROLLS)
            lay(colours[near], lip, roll)


def _from_corners(s: Pixels, top: Array) -> Pixels:
    """How far places (h, w) along the mouth are from its nearer corner, in widths of the mouth; see `_shade`."""
    width = np.float32(max(top[-1, 0] - top[0, 0], 1e-6))
    return np.asarray(np.minimum(s - np.float32(top[0, 0]), np.float32(top[-1, 0]) - s) / width, np.float32)


def _edges(upper: Array, lower: Array, share: float) -> tuple[Array, Array]:
    """An opening's edges (N, 2), smooth, through its points (11, 2): one curve where it is round (a share of 1)."""
    above, below = smooth_curve(upper), smooth_curve(lower)
    if share > 0.0:
        ring = smooth_ring(np.concatenate([upper[:-1], lower[:0:-1]]))
        ring = np.concatenate([ring, ring[:1]])
        above = above + share * (ring[: len(above)] - above)
        below = below + share * (ring[: len(above) - 2 : -1] - below)
    return above, below


def _ends_apart(landmarks: Array) -> float:
    """How far apart the middles of the inner lips are, in pixels."""
    return float(np.linalg.norm(landmarks[14] - landmarks[13]))


def _rows(wanted: NDArray[np.bool_]) -> slice:
    """The rows of a mask (h, w) from the first to the last that holds anything."""
    found = np.flatnonzero(wanted.any(1))
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)
