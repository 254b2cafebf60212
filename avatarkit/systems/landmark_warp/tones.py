"""What a picture makes of colours: black-and-white ones show none, and toned ones their own."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.openings import rise_at
from avatarkit.systems.landmark_warp.skin import skin_colour

Array = NDArray[np.float64]
Shares = TypeVar("Shares", NDArray[np.float32], NDArray[np.float64])

COLOURED = (0.018, 0.04)
"""Colours of a face lie so far off one line, over its light: of 24 portraits without colours, six of them toned, at
most 0.016, of 226 coloured ones, dull and dark ones among them, at least 0.05."""
COLOURED_EYES = (0.06, 0.11)
"""The same of a quarter of what lies between the lids: of 24 portraits without colours at most 0.027, of 28 toned by
software 0.057, of 27 coloured ones at least 0.115. Figures may be drawn with flat skin and lines in its darker shade:
their eyes alone have another colour."""
ACROSS = (0.35, 0.5, 0.65)
"""So far from the upper lid to the lower one eyes are looked at, beside their irises."""
BLOWN = 250
"""Where a channel is as light as this, it says nothing of the colour."""
FEWEST = 40
"""Of so many points at least the line is told."""


@dataclass(frozen=True)
class Tones:
    """The colours that a picture has.

    skin: (3,) the usual colour of the face's open skin. share: 1 where it has all colours, 0 where those of the face
    differ in light alone. middle: (3,) their mean. way: (3,) what a level more of light adds to each channel.
    """

    skin: NDArray[np.float32]
    share: float
    middle: Array
    way: Array

    @staticmethod
    def of(picture: NDArray[np.uint8], landmarks: Array) -> "Tones":
        """Read them from a face's skin, lips, brows and eyes."""
        colours, inside = _seen(picture, landmarks[: lm.MESH, :2])
        told = inside & (colours.max(1) < BLOWN)
        colours = colours[told] if np.count_nonzero(told) >= FEWEST else colours
        middle = colours.mean(0)
        light = (colours - middle).mean(1)
        spread = float(light @ light)
        level = max(float(middle.mean()), 1.0)
        way = light @ (colours - middle) / spread if spread > 1.0 else middle / level
        tones = Tones(skin_colour(picture, landmarks), 0.0, middle, way)
        aside = float(np.sqrt((tones._off(colours) ** 2).mean())) / level
        # White ones are blown often, and tell nevertheless: skin is not as light.
        eyes, inside = _seen(picture, _between_lids(landmarks))
        other = float(np.quantile(tones._off(eyes[inside]), 0.75)) / level if inside.any() else 0.0
        return replace(tones, share=max(rise_at(aside, *COLOURED), rise_at(other, *COLOURED_EYES)))

    def _off(self, colours: Array) -> Array:
        """How far (N,) colours (N, 3) are from those that a picture without colours would have of their light."""
        return np.asarray(np.linalg.norm(colours - self._toned(colours.mean(1, keepdims=True)), axis=1), np.float64)

    def _toned(self, light: Array) -> Array:
        """Colours (..., 3) of a light (..., 1) in a picture without others."""
        return np.asarray(np.clip(self.middle + (light - self.middle.mean()) * self.way, 0.0, 255.0), np.float64)

    def shown(self, colours: NDArray[np.floating[Any]]) -> Array:
        """Colours (..., 3) as the picture would show them."""
        colour: Array = np.asarray(colours, np.float64)
        if self.share >= 1.0:
            return colour
        light = colour.mean(-1, keepdims=True)
        toned = self._toned(light)
        return np.asarray(toned + self.share * (colour - toned), np.float64)

    def tint(self, shares: Shares) -> Shares:
        """Light by channels (..., 3) that falls on the picture's colours, with as much of a hue as they have."""
        if self.share >= 1.0:
            return shares
        alike = shares.mean(-1, keepdims=True)
        return cast(Shares, np.asarray(alike + self.share * (shares - alike), shares.dtype))


def _seen(picture: NDArray[np.uint8], points: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Colours (N, 3) at points (N, 2), each the mean of 3 x 3 pixels, and which of them (N,) the picture holds.

    Single pixels of a JPEG have others' hue.
    """
    height, width = picture.shape[:2]
    x, y = points.round().astype(int).T
    near = np.arange(-1, 2)
    rows, columns = y[:, None, None] + near[:, None], x[:, None, None] + near
    found = picture[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)].astype(np.float64).mean((1, 2))
    return np.asarray(found, np.float64), (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _between_lids(landmarks: Array) -> Array:
    """Points (N, 2) of both irises, and of what else lies between the lids."""
    points = [landmarks[lm.MESH :, :2]]
    for lids in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        upper, lower = (landmarks[list(lid[1:-1]), :2] for lid in lids)
        points += [upper + share * (lower - upper) for share in ACROSS]
    return np.concatenate(points)
