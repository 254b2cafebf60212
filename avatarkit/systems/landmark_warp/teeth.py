"""Teeth for mouths that show none, drawn once for a source: two rows on their arches, in the source's light."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample_at
from avatarkit.systems.landmark_warp.coloured_light import eye_white, hue_of_light
from avatarkit.systems.landmark_warp.openings import rise
from avatarkit.systems.landmark_warp.tones import Tones

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

PER_UNIT = 500.0
"""Pixels of a row's picture to a head unit (about 9 cm)."""
HALF_WIDTH, ABOVE, BELOW = 0.34, 0.16, 0.03
"""What the picture of a row holds: to either side of the middle, towards the gum, beyond the edge of the teeth."""
# From the middle outwards, in head units: width along the arch, height of the crown, and how far the edge stays behind
# that of the first tooth. After usual adult measures (8.5, 6.5, 7.5, 7, 7, 10 mm above; 5.3, 5.8, 6.8, 7, 7, 10 below).
UPPER_TEETH = (
    (0.094, 0.112, 0.0), (0.073, 0.1, 0.008), (0.084, 0.108, 0.002), (0.078, 0.09, 0.012), (0.075, 0.085, 0.018),
    (0.105, 0.08, 0.022),
)  # fmt: skip
LOWER_TEETH = (
    (0.059, 0.095, 0.0), (0.064, 0.095, 0.001), (0.075, 0.105, -0.004), (0.078, 0.09, 0.006), (0.078, 0.085, 0.012),
    (0.11, 0.08, 0.016),
)  # fmt: skip
UPPER_ARCH, LOWER_ARCH = 0.31, 0.27
"""Radius of the arch as seen from the front."""
GAP_WIDTH, GAP_DEPTH = 0.003, 0.42
CORNER = 0.02
"""Radius of a tooth's free corners."""
PAPILLA = 0.04
"""How far the gum between two teeth reaches beyond that around their necks."""
GUM_LIGHT, GLOSS = 1.0, 0.09
"""Gum is wet, and lighter than the flesh behind it; teeth shine at one side."""
LONGER = ((0.0, 0.002), (0.001, -0.003), (0.003, -0.001), (-0.002, 0.002), (0.0, 0.003), (0.0, 0.0))
"""From the middle outwards: length of a tooth over the usual one, left and right in the picture, in head units."""
LIGHTER = ((1.0, 0.985), (0.965, 0.985), (0.93, 0.94), (0.96, 0.95), (0.93, 0.95), (0.9, 0.9))
"""Its light, likewise. Canines are darker than their neighbours."""
BLUEST_TONGUE = 1.08
"""Blue over green of a tongue, at most."""
THROWN_BACK = 0.5
"""Light of flesh in the shade over that in the light."""
EYE_WHITE_SHARE = 0.95
"""Teeth over the white of the eyes, in light; both are nearly white and lit alike."""
WHITE_TEETH, OVER_SKIN = 228.0, 1.05
"""Teeth are no lighter than this, nor than skin by more than this, whichever is more: beside skin that is all but white
they would look grey."""
LIGHTEST_TEETH = 250.0
"""Of each channel: beyond it they would lose the light's colour."""


@dataclass(frozen=True)
class Row:
    """One row of teeth: RGB and coverage float32 (h, w, 4), 0 to 255; its first teeth end at `ABOVE`."""

    picture: Pixels

    def at(self, sideways: Pixels, beyond: Pixels) -> tuple[Pixels, Pixels]:
        """Colours (h, w, 3) and coverage (h, w) at places in head units.

        Args:
            sideways: from the middle of the row. beyond: past the edge of its first teeth, away from the gum.
        """
        result = sample_at(self.picture, (sideways + HALF_WIDTH) * PER_UNIT, (beyond + ABOVE) * PER_UNIT)
        return result[..., :3], result[..., 3] / np.float32(255.0)

    def blurred(self, blur: float) -> "Row":
        """The same, blurred with a standard deviation in head units; what is beside the teeth lends no colour."""
        import cv2

        if blur * PER_UNIT < 0.3:
            return self
        cover = self.picture[..., 3:]
        soft = cv2.GaussianBlur(np.dstack([self.picture[..., :3] * cover, cover]), (0, 0), blur * PER_UNIT)
        colours = soft[..., :3] / np.maximum(soft[..., 3:], 1e-3)
        return Row(np.dstack([np.where(soft[..., 3:] > 0.5, colours, self.picture[..., :3]), soft[..., 3]]))


@dataclass(frozen=True)
class Palette:
    """Colours (3,) of the inside of a mouth that suit a picture's light, in its tones.

    hue: (3,) of that light by channels, 1 on average.
    """

    tones: Tones
    hue: Array
    teeth: Pixels
    cavity: Pixels
    tongue: Pixels
    gum: Pixels
    upper_lip: Pixels
    lower_lip: Pixels

    def with_teeth(self, teeth: Pixels) -> "Palette":
        """The same with teeth of another colour."""
        return replace(self, teeth=teeth)

    def lit(self, light: float) -> "Palette":
        """The same with teeth and gums in that share of the light, and in what flesh throws back of the rest."""
        back = np.float32((1.0 - light) * THROWN_BACK) * self.gum
        return replace(self, teeth=np.float32(light) * self.teeth + back, gum=np.float32(light) * self.gum + back)


def palette(picture: NDArray[np.uint8], landmarks: Array) -> Palette:
    """Read the light from skin, lips and the whites of the eyes."""
    height, width = picture.shape[:2]

    def usual(points: tuple[int, ...]) -> Array:
        x, y = landmarks[list(points), :2].round().astype(int).T
        found = picture[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        return np.asarray(np.median(found.astype(np.float64), axis=0))

    lips = usual((0, 37, 267, 17, 84, 314, 40, 270))
    tones = Tones.of(picture, landmarks)
    skin = tones.skin.astype(np.float64)
    light = float(skin.mean())
    tint = skin / max(light, 1.0)
    white = eye_white(picture, landmarks)
    hue = hue_of_light(skin, white)
    bright = float(np.clip(EYE_WHITE_SHARE * white.mean(), 0.95 * light + 30.0, 1.2 * light + 55.0))
    # Teeth are nearly white, but keep a part of skin's colour, and all of the light's.
    bright = min(1.05 * bright, max(WHITE_TEETH, OVER_SKIN * light))
    teeth = np.minimum(bright * (0.72 + 0.28 * tint) * [1.0, 0.976, 0.935] * hue, LIGHTEST_TEETH)
    flesh = 0.4 * skin + 0.6 * lips
    # Flesh lit from within is redder than the skin outside, and bluer than green in blue light alone.
    tongue = 0.86 * (0.65 * skin + 0.35 * lips) * [1.02, 0.74, 0.82]
    tongue[2] = min(tongue[2], BLUEST_TONGUE * tongue[1] * max(skin[2] / max(skin[1], 1.0), 1.0))
    colours = [
        teeth,
        flesh * [0.27, 0.145, 0.14],
        tongue,
        0.8 * flesh * [1.05, 0.82, 0.82],
        0.55 * usual(lm.UPPER_LIP_ROWS[2][3:8]),
        0.7 * usual(lm.LOWER_LIP_ROWS[1][3:8]),
    ]
    return Palette(tones, hue, *(np.asarray(tones.shown(colour), np.float32) for colour in colours))


def upper_row(colours: Palette, blur: float = 0.0) -> Row:
    """The upper teeth, their edge down, blurred as the picture is (a standard deviation in head units)."""
    return _row(UPPER_TEETH, UPPER_ARCH, colours).blurred(blur)


def lower_row(colours: Palette, blur: float = 0.0) -> Row:
    """The lower teeth, their edge up: `beyond` counts upwards."""
    return _row(LOWER_TEETH, LOWER_ARCH, colours).blurred(blur)


def _row(teeth: tuple[tuple[float, float, float], ...], arch: float, colours: Palette) -> Row:
    columns, rows = round(2 * HALF_WIDTH * PER_UNIT) + 1, round((ABOVE + BELOW) * PER_UNIT) + 1
    s = (np.arange(columns) / PER_UNIT - HALF_WIDTH)[None]
    d = (np.arange(rows) / PER_UNIT - ABOVE)[:, None]
    # Along the arch, as far as it is seen from the front.
    angle = np.arcsin(np.clip(np.abs(s) / arch, 0.0, 0.999))
    along, left = angle * arch, s < 0.0
    gum = GUM_LIGHT * colours.gum.astype(np.float64)
    picture, cover = np.empty((rows, columns, 3)), np.zeros((rows, columns))
    picture[:] = gum
    begin = 0.0
    for number, (width, height, behind) in enumerate(teeth):
        # No two teeth of a mouth are quite alike, nor are its halves.
        longer, lighter = np.where(left, *LONGER[number]), np.where(left, *LIGHTER[number])
        across = (along - begin - width / 2.0) / (width / 2.0)
        inside, far = np.abs(across) <= 1.0, np.clip(np.abs(across), 0.0, 1.0)
        # The free edge is rounded at its corners, the more so the farther back the tooth.
        edge = -behind + longer - CORNER * np.clip((far - 0.4) / 0.6, 0.0, 1.0) ** 2.5
        crown = np.clip((edge - d) / 0.005 + 0.5, 0.0, 1.0) * inside
        # Gum runs in arches around the necks, and to a point between them.
        neck = np.clip((d - longer + height - PAPILLA * far**3) / 0.008 + 0.5, 0.0, 1.0)
        up = np.clip((edge - d) / height, 0.0, 1.0)
        # Neighbours touch, but at the free edge: there the gap opens.
        apart = GAP_WIDTH * (1.0 + 1.2 * np.clip(1.0 - up / 0.25, 0.0, 1.0))
        gap = 1.0 - GAP_DEPTH * np.exp(-(((1.0 - far) * width / 2.0 / apart) ** 2))
        # A rounded body in the light from the front, its neck deeper in colour, its edge a little transparent.
        form = (1.0 - 0.22 * far**3) * (1.0 - 0.2 * rise(up, 0.4, 1.05)) * (1.0 - 0.12 * (1.0 - rise(up, 0.0, 0.18)))
        gloss = GLOSS * np.exp(-(((across + 0.2) / 0.3) ** 2) - ((up - 0.42) / 0.24) ** 2)
        tone = colours.tones.tint(1.0 - rise(up, 0.3, 1.1)[..., None] * [0.0, 0.02, 0.07])
        tooth = colours.teeth * (tone * ((gap * form + gloss) * lighter)[..., None])
        colour = gum + neck[..., None] * (tooth - gum)
        picture = np.where(inside[..., None] & (crown[..., None] > 0), colour, picture)
        cover = np.maximum(cover, crown)
        begin += width
    # Cheeks shade the far teeth.
    picture *= _cheek_shade(angle)[..., None]
    cover *= rise((begin - along) / 0.05) * rise((HALF_WIDTH - np.abs(s)) / 0.03)
    return Row(np.dstack([picture, 255.0 * cover]).astype(np.float32))


def arch_light(sideways: Array) -> Array:
    """Light of upper teeth so far from the middle over that in the middle: cheeks shade the far ones."""
    return _cheek_shade(np.arcsin(np.clip(np.abs(sideways) / UPPER_ARCH, 0.0, 0.999)))


def _cheek_shade(angle: Array) -> Array:
    return np.asarray(0.3 + 0.7 * np.cos(angle) ** 1.5)
