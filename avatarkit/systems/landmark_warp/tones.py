"""What a picture makes of colours: black-and-white ones show none, and toned ones their own."""

from dataclasses import dataclass
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
        colours = _seen(picture, landmarks)
        middle = colours.mean(0)
        light = (colours - middle).mean(1)
        spread = float(light @ light)
        level = max(float(middle.mean()), 1.0)
        way = light @ (colours - middle) / spread if spread > 1.0 else middle / level
        off = colours - middle - light[:, None] * way
        aside = np.sqrt((off**2).sum(1).mean()) / level
        return Tones(skin_colour(picture, landmarks), rise_at(float(aside), *COLOURED), middle, way)

    def shown(self, colours: NDArray[np.floating[Any]]) -> Array:
        """Colours (..., 3) as the picture would show them."""
        colour: Array = np.asarray(colours, np.float64)
        if self.share >= 1.0:
            return colour
        light = colour.mean(-1, keepdims=True)
        toned = np.clip(self.middle + (light - self.middle.mean()) * self.way, 0.0, 255.0)
        return np.asarray(toned + self.share * (colour - toned), np.float64)

    def tint(self, shares: Shares) -> Shares:
        """Light by channels (..., 3) that falls on the picture's colours, with as much of a hue as they have."""
        if self.share >= 1.0:
            return shares
        alike = shares.mean(-1, keepdims=True)
        return cast(Shares, np.asarray(alike + self.share * (shares - alike), shares.dtype))


def _seen(picture: NDArray[np.uint8], landmarks: Array) -> Array:
    """Colours (N, 3) at a face's landmarks, each the mean of 3 x 3 pixels: single ones of a JPEG have others' hue."""
    height, width = picture.shape[:2]
    x, y = landmarks[: lm.MESH, :2].round().astype(int).T
    near = np.arange(-1, 2)
    rows, columns = y[:, None, None] + near[:, None], x[:, None, None] + near
    found = picture[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)].astype(np.float64).mean((1, 2))
    told = (found.max(1) < BLOWN) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.asarray(found[told] if np.count_nonzero(told) >= FEWEST else found, np.float64)
