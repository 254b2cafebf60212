"""How a person looks, as far as colours say it: three histograms, of the face, the hair and the clothes below the chin.

They hold for the minutes of a video, in which people keep their clothes and the light changes slowly; they are no
identity beyond it. Over 110 clips, frames of one clip up to six seconds apart differ by less than 0.049 in 99 of 100
pairs, and those of two clips by more than 0.076 in 95 of 100.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.landmarks import OUTER_EYE_CORNERS
from avatarkit.face.types import Face

__all__ = ["Looks", "blended", "difference", "looks_of"]

Array = NDArray[np.float32]

# Sampled every so many faces, about the middle of the face's box: x to the right, y down, upright with the eyes.
_STEP = 0.1
# A zone counts where this share of its samples lies in the picture.
_LEAST_SEEN = 0.7
_ZONES, _BINS = 3, (8, 10, 10)
_LENGTH = _BINS[0] + _BINS[1] * _BINS[2]
_LAST = np.array(_BINS, np.float32) - 1
_LIGHTNESS_WEIGHT = 0.3
# From RGB to lightness and two colour differences (ITU-R BT.601), and their range in nearly all skin, hair and cloth.
_TONES = np.array([[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32)
_LOW, _SPAN = np.array([0, -60, -60], np.float32), np.array([255, 120, 120], np.float32)


@dataclass(frozen=True, eq=False)
class Looks:
    """Histograms (3, 108) of face, hair and clothes, each with the sum 1; `seen` (3,): which the picture shows."""

    zones: Array
    seen: NDArray[np.bool_]


def looks_of(frame: NDArray[np.uint8], face: Face) -> Looks:
    """The looks of a dense face in its frame (H, W, 3)."""
    right, left = face.landmarks[list(OUTER_EYE_CORNERS), :2]
    across = left - right
    across = across / max(float(np.hypot(*across)), 1e-6) * face.extent_px
    points = np.asarray(face.centre, np.float32) + _GRID @ np.stack([across, [-across[1], across[0]]])
    columns, rows = np.rint(points).astype(int).T
    height, width = frame.shape[:2]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    colours = frame[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    tones = colours.astype(np.float32) @ _TONES
    seen = np.bincount(_ZONE, inside, _ZONES) >= _LEAST_SEEN * np.bincount(_ZONE)
    return Looks(_histograms(tones, inside & seen[_ZONE]), seen)


def difference(one: Looks, other: Looks) -> float:
    """0 for the same colours to 1 for none in common: Hellinger's squared, the mean over the zones that both show."""
    both = one.seen & other.seen
    if not both.any():
        return 0.0
    return float(1.0 - np.sqrt(one.zones[both] * other.zones[both]).sum() / both.sum())


def blended(model: Looks, new: Looks, rate: float) -> Looks:
    """The model moved towards what was seen now, by a share of the way."""
    shares = np.where(model.seen & new.seen, rate, np.where(new.seen, 1.0, 0.0))[:, None].astype(np.float32)
    return Looks(model.zones + shares * (new.zones - model.zones), model.seen | new.seen)


def _histograms(tones: Array, counted: NDArray[np.bool_]) -> Array:
    """Histograms of all zones, of the samples that count; each sample is shared out between neighbouring bins.

    Lightness stands apart from colour, which skin and cloth keep in shadow.
    """
    place = np.clip((tones - _LOW) / _SPAN * _LAST, 0.0, _LAST - 1e-3)
    cell = place.astype(int)
    light, a, b = (place - cell).T
    weight = counted / np.maximum(np.bincount(_ZONE, counted, _ZONES), 1.0)[_ZONE]
    grey, tint = weight * _LIGHTNESS_WEIGHT, weight * (1 - _LIGHTNESS_WEIGHT)
    first = _ZONE * _LENGTH + cell[:, 0]
    cross = _ZONE * _LENGTH + _BINS[0] + cell[:, 1] * _BINS[2] + cell[:, 2]
    bins = np.concatenate([first, first + 1, cross, cross + 1, cross + _BINS[2], cross + _BINS[2] + 1])
    weights = np.concatenate(
        [grey * (1 - light), grey * light]
        + [tint * x * y for x, y in ((1 - a, 1 - b), (1 - a, b), (a, 1 - b), (a, b))]
    )
    return np.bincount(bins, weights, _ZONES * _LENGTH).reshape(_ZONES, _LENGTH).astype(np.float32)


def _samples() -> tuple[Array, NDArray[np.int64]]:
    """Where colours are sampled, (N, 2) in face sizes, and the zone of each."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(-0.7, 0.71, _STEP), np.arange(-0.85, 1.16, _STEP)))
    face = (x / 0.36) ** 2 + (y / 0.5) ** 2 < 1
    head = ((x / 0.55) ** 2 + ((y + 0.05) / 0.8) ** 2 < 1) & (y < 0.2)
    hair = head & ((x / 0.42) ** 2 + (y / 0.55) ** 2 >= 1)
    clothes = y > 0.72
    zone = np.select([face, hair, clothes], [0, 1, 2], -1)
    return np.column_stack([x, y])[zone >= 0].astype(np.float32), zone[zone >= 0].astype(np.int64)


_GRID, _ZONE = _samples()
