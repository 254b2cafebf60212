"""The inside of the mouth: the source's own where it shows one, drawn teeth and cavity where it does not.

Upper teeth belong to the skull and lower ones to the jaw: lips slide over them and hide them.
"""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.visibility import mouth_covered
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.openings import Region, blend, heights, rise, smooth_curve, soft_mask
from avatarkit.systems.landmark_warp.own_mouth import PARTED_GAP, OwnMouth
from avatarkit.systems.landmark_warp.skin import blur_around_mouth
from avatarkit.systems.landmark_warp.teeth import lower_row, palette, upper_row
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

# Lengths in head units (distance of the outer eye corners, about 9 cm).
TEETH_BELOW_LINE = 0.03
"""The upper teeth end this far below the line where the lips meet at rest; they stay with the skull."""
LOWER_TEETH_SHOWN = 0.045
"""The lower teeth stand this far above the lower lip of a mouth that is open and wide."""
WIDENED = 1.03
"""Over the width of the source's mouth: beside its own teeth a wider one shows drawn ones."""
BARED = 0.02
"""The same where the lips are this much farther apart than in the source."""
TONGUE = (0.26, 0.3, 0.5)
"""Half the tongue's width; the middle and half the length of what is seen of it, in shares of the gap from below."""
STRIP_SHADED = 0.9
"""A strip of teeth is seen in the shadow of the lips and takes their colour: a row that comes into the light has at
least this share of what teeth have in the picture's light."""
LOWER_ROLL, UPPER_ROLL = 0.016, 0.01
"""Lips turn inwards over this length."""


class MouthLayer:
    """Draws the inside of a source's mouth."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        self._covered = mouth_covered(picture, landmarks)
        pose = head_frame(landmarks)
        lips = pose.apply_inverse(landmarks[[13, 14]])
        # Of lips that are apart, the lower one has left the line where they would meet.
        self._rest = np.array([*lips.mean(0)[:1], min(lips.mean(0)[1], lips[0, 1] + 0.02), lips.mean(0)[2]])
        self._colours = palette(picture, landmarks)
        self._edge = TEETH_BELOW_LINE
        self._plane = ToothPlane.of(pose, self._rest)
        top, bottom = self._lips_in_skull(landmarks, pose)
        self._width = float(top[-1, 0] - top[0, 0])
        self._own = None
        if float((bottom[:, 1] - top[:, 1]).max()) > PARTED_GAP:
            self._own = OwnMouth(picture, self._plane, top, bottom, self._colours.gum)
            if self._own.teeth is not None:
                teeth = self._own.teeth
                if not self._own.row:
                    teeth = np.maximum(teeth, np.float32(STRIP_SHADED) * self._colours.teeth)
                self._colours = self._colours.with_teeth(teeth)
                self._edge = max(self._edge, self._own.edge)
        blur = blur_around_mouth(picture, landmarks)
        self._upper, self._lower = upper_row(self._colours, blur), lower_row(self._colours, blur)

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw what is seen between the lips into a frame (H, W, 3), in place."""
        upper = motion.landmarks[list(lm.INNER_LIP_UPPER), :2]
        lower = motion.landmarks[list(lm.INNER_LIP_LOWER), :2]
        scale = motion.pose.scale
        # A tracker guesses lips behind a mask or a hand, and may guess them apart.
        if self._covered or np.linalg.norm(lower - upper, axis=1).max() < 0.008 * scale:
            return
        outline = np.concatenate([smooth_curve(upper), smooth_curve(lower)[::-1]])
        region = Region.around(outline, 3.0, frame.shape[1], frame.shape[0])
        if region is None:
            return
        skull = ToothPlane.of(motion.pose, self._rest)
        s, d = skull.places(region)
        top, bottom = self._lips_in_skull(motion.landmarks, motion.pose)
        above, below = d - heights(top, s), heights(bottom, s) - d
        alike = 0.0 if self._own is None else self._own.likeness(float((bottom[:, 1] - top[:, 1]).max()))
        if alike < 1.0:
            jaw = skull.place(motion.landmarks[14, :2])
            wide = float(top[-1, 0] - top[0, 0]) / max(self._width, 1e-6)
            colours = self._drawn(skull, s, d, jaw, above, below, wide)
            self._shade(colours, above, below)
        if self._own is not None and alike > 0.0:
            across = (s - np.float32(top[0, 0])) / np.float32(max(top[-1, 0] - top[0, 0], 1e-6))
            down = np.clip(above / np.maximum(above + below, 1e-4), 0.0, 1.0)
            own = self._own.whole(across, down)
            colours = own if alike >= 1.0 else colours + np.float32(alike) * (own - colours)
        blend(region.of(frame), colours, soft_mask(outline, region, 0.007 * scale))

    def _lips_in_skull(self, landmarks: Array, pose: Similarity) -> tuple[Array, Array]:
        """The inner edges (N, 2) of the upper and of the lower lip in the plane of the teeth."""
        plane = ToothPlane.of(pose, self._rest)
        upper, lower = (
            np.array([plane.place(point) for point in landmarks[list(ring), :2]])
            for ring in (lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)
        )
        return upper, lower

    def _drawn(
        self, skull: ToothPlane, s: Pixels, d: Pixels, jaw: Array, above: Pixels, below: Pixels, wide: float
    ) -> Pixels:
        """Teeth, tongue and cavity, (h, w, 3), from the back to the front.

        Args:
            skull: the plane of the teeth. s, d: places in it. jaw: (2,) middle of the lower lip's edge in it.
            above, below: distances to the upper and to the lower lip. wide: width of the mouth over the source's.
        """
        gap = np.maximum(above + below, 1e-4)
        colours = np.broadcast_to(self._colours.cavity, (*s.shape, 3)).astype(np.float32)
        # The tongue lies on the floor of an open mouth: a rounded body with dark beside it, as far as light falls in.
        side, back = np.abs(s - jaw[0]) / TONGUE[0], below / gap
        body = 1.0 - side**2 - ((back - TONGUE[1]) / TONGUE[2]) ** 2
        # It is darker towards the throat and behind the lower teeth, with a furrow along its middle.
        form = (0.72 + 0.28 * rise(body, 0.1, 0.8)) * (1.0 - 0.4 * rise(back, 0.3, 0.75))
        form *= (0.7 + 0.3 * rise(back, 0.0, 0.2)) * (1.0 - 0.08 * np.exp(-((side / 0.14) ** 2)))
        tongue = rise(gap, 0.1, 0.26) * rise(body, 0.0, 0.35)
        colours += tongue[..., None] * (form[..., None] * self._colours.tongue - colours)
        own = self._own
        if own is not None:
            own.lay_lower(colours, s, d, jaw)
        # Lips that are drawn together hide the lower teeth.
        open_jaw = float(np.clip((jaw[1] - 0.1) / 0.15, 0.0, 1.0) * np.clip((wide - 0.8) / 0.2, 0.0, 1.0))
        if open_jaw > 0.0 and (own is None or not own.open):
            a, b = skull.on_arch(s - np.float32(jaw[0]), d)
            place = (a, np.float32(jaw[1] - LOWER_TEETH_SHOWN) - b)
            row, cover = self._lower.at(*place)
            colours += (open_jaw * cover)[..., None] * (0.62 * row - colours)
        share = 0.0 if own is None else own.share(float(gap.max()))
        a, b = skull.on_arch(s, d)
        row, cover = self._upper.at(a, b - np.float32(self._edge))
        if own is None or share <= 0.0:
            colours += cover[..., None] * (row - colours)
            return colours
        s, d = skull.on_arch(s, d, since=self._plane)
        serves: float | Pixels = share
        if share >= 1.0:
            # In a mouth that is wider, or more open at its sides, more teeth are seen than the lips left free.
            beyond = rise(np.maximum(own.ends[0] - s, s - own.ends[1]), -0.03, 0.01)
            bared = np.float32(1.0) if wide > WIDENED else rise(gap - own.gap(s), 0.0, BARED)
            cover, serves = cover * beyond * bared, 1.0 - beyond * bared
        colours += cover[..., None] * (row - colours)
        own.lay_upper(colours, s, d, serves)
        return colours

    def _shade(self, colours: Pixels, above: Pixels, below: Pixels) -> None:
        """Lay the shadow of the lips on what is inside, and turn the lips inwards, in place."""
        gap = np.maximum(above + below, 0.0)
        light = 0.66 + 0.34 * rise(above, 0.0, 0.05)
        light *= 0.75 + 0.25 * rise(gap, 0.02, 0.1)
        floor = self._own is not None and self._own.open
        if self._own is not None and (floor or self._own.teeth is not None):
            # Its own shadow is in the source's picture where the lip still is.
            light = 0.5 + 0.5 * light
        colours *= light[..., None]
        # The lower lip's turn lies in the source's picture too, where that shows what lies before it.
        lower = 0.0 if floor else 0.8 * rise(LOWER_ROLL - below, 0.0, LOWER_ROLL)
        roll = np.maximum(lower, 0.6 * rise(UPPER_ROLL - above, 0.0, UPPER_ROLL))
        roll *= rise(gap, 0.05, 0.15)
        colours += roll[..., None] * (self._colours.lip - colours)
