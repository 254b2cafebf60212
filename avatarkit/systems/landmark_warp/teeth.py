"""Teeth for mouths that show none, drawn once for a source: two rows on their arches, in the source's light."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.systems.landmark_warp.openings import fill, rise
from avatarkit.systems.landmark_warp.skin import skin_colour

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
GAP_WIDTH, GAP_DEPTH = 0.0045, 0.3
CORNER = 0.02
"""Radius of a tooth's free corners."""
EYE_WHITE_SHARE = 0.95
"""Teeth over the white of the eyes, in light; both are nearly white and lit alike."""


@dataclass(frozen=True)
class Row:
    """One row of teeth: RGB and coverage float32 (h, w, 4), 0 to 255; its first teeth end at `ABOVE`."""

    picture: Pixels

    def at(self, sideways: Pixels, beyond: Pixels) -> tuple[Pixels, Pixels]:
        """Colours (h, w, 3) and coverage (h, w) at places in head units.

        Args:
            sideways: from the middle of the row. beyond: past the edge of its first teeth, away from the gum.
        """
        grid = np.stack([(sideways + HALF_WIDTH) * PER_UNIT, (beyond + ABOVE) * PER_UNIT], axis=2)
        result = sample(self.picture, grid)
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
    """Colours (3,) of the inside of a mouth that suit a picture's light, and its colour or lack of it."""

    teeth: Pixels
    cavity: Pixels
    tongue: Pixels
    gum: Pixels
    lip: Pixels

    def with_teeth(self, teeth: Pixels) -> "Palette":
        """The same with teeth of another colour."""
        return replace(self, teeth=teeth)


def palette(picture: NDArray[np.uint8], landmarks: Array) -> Palette:
    """Read the light from skin, lips and the whites of the eyes."""
    height, width = picture.shape[:2]
    lips_at = landmarks[[0, 37, 267, 17, 84, 314, 40, 270], :2].round().astype(int)
    x, y = np.clip(lips_at[:, 0], 0, width - 1), np.clip(lips_at[:, 1], 0, height - 1)
    lips = np.median(picture[y, x].astype(np.float64), axis=0)
    skin = skin_colour(picture, landmarks).astype(np.float64)
    light = float(skin.mean())
    tint = skin / max(light, 1.0)
    bright = float(np.clip(EYE_WHITE_SHARE * _eye_white(picture, landmarks), 0.95 * light + 30.0, 1.2 * light + 55.0))
    # Teeth are nearly white, but keep a part of the light's colour.
    teeth = min(bright, 225.0) * (0.75 + 0.25 * tint) * np.array([1.0, 0.975, 0.91])
    flesh = 0.4 * skin + 0.6 * lips
    # Flesh lit from within is redder than the skin outside.
    colours = [
        teeth,
        0.16 * flesh * [1.2, 0.9, 0.88],
        0.75 * (0.65 * skin + 0.35 * lips) * [1.1, 0.84, 0.86],
        0.8 * flesh * [1.05, 0.82, 0.82],
        0.55 * lips,
    ]
    if float(np.ptp(skin) + np.ptp(lips)) < 12.0:
        colours = [colour.mean() * np.ones(3) for colour in colours]
    return Palette(*(np.asarray(colour, np.float32) for colour in colours))


def _eye_white(picture: NDArray[np.uint8], landmarks: Array) -> float:
    """Light of the whites of the eyes: the brighter quarter of what lies between the lids, without reflections."""
    result = []
    for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        outline = landmarks[[*upper, *lower[::-1]], :2]
        low = np.maximum(np.floor(outline.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(0)).astype(int) + 1, [picture.shape[1], picture.shape[0]])
        if np.any(high - low < 2):
            continue
        part = picture[low[1] : high[1], low[0] : high[0]]
        inside = fill(outline - low, part.shape[:2]) > 0
        if inside.any():
            result.append(float(np.percentile(part[inside].mean(1), 80)))
    return float(np.mean(result)) if result else 0.0


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
    along = angle * arch
    picture = np.zeros((rows, columns, 3))
    cover = np.zeros((rows, columns))
    picture[:] = colours.gum * 0.8
    begin = 0.0
    for width, height, behind in teeth:
        middle = begin + width / 2.0
        across = (along - middle) / (width / 2.0)
        inside = np.abs(across) <= 1.0
        # The free edge is rounded at its corners, the more so the farther back the tooth.
        round_off = CORNER * np.clip((np.abs(across) - 0.45) / 0.55, 0.0, 1.0) ** 2
        edge = -behind - round_off
        crown = np.clip((edge - d) / 0.005 + 0.5, 0.0, 1.0) * inside
        neck = np.clip((d + height - 0.02 * across**2) / 0.012 + 0.5, 0.0, 1.0)
        gap = 1.0 - GAP_DEPTH * np.exp(-(((1.0 - np.abs(across)) * width / 2.0 / GAP_WIDTH) ** 2))
        form = 1.0 - 0.1 * across**2 - 0.1 * np.clip((-d - 0.05) / 0.06, 0.0, 1.0)
        # Thin edges let the dark of the mouth through.
        thin = 1.0 - 0.1 * np.exp(-(((edge - d) / 0.014) ** 2))
        tooth = colours.teeth * (gap * form * thin)[..., None]
        colour = colours.gum * 0.8 + neck[..., None] * (tooth - colours.gum * 0.8)
        picture = np.where(inside[..., None] & (crown[..., None] > 0), colour, picture)
        cover = np.maximum(cover, crown)
        begin += width
    picture *= (0.35 + 0.65 * np.cos(angle))[..., None]
    cover *= rise((begin - along) / 0.05) * rise((HALF_WIDTH - np.abs(s)) / 0.03)
    return Row(np.dstack([picture, 255.0 * cover]).astype(np.float32))
