"""Drawn teeth stand where a source's own do: what takes their place as the mouth opens looks like the same teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.systems.landmark_warp.teeth import UPPER_ARCH, UPPER_TEETH

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

# Lengths in head units (about 9 cm).
TEETH = 4
"""So many of either half are looked for; those farther back lie in the shade."""
SHIFTS, SIZES = (-0.1, 0.1), (0.8, 1.25)
"""How far aside and how wide a row may be over the drawn one."""
FEWEST_GAPS, CLEAR = 3, 0.06
"""A fit needs so many gaps, and so much more dark in them than in the teeth's middles, over the light around. Where
fewer of them are so clear each by itself, teeth keep their usual size, and the nearest of their gaps goes there."""
RATHER_USUAL = (0.2, 0.1)
"""What is darker counts less by this, for each head unit of shift and each doubling of size."""
EDGE, HEIGHT = 0.008, 0.045
"""Gaps are looked for over this height, so far above the edge of the teeth: their necks lie in gum and shade."""
FINE, AROUND = 0.003, 0.04
"""What is finer than the first is no gap; light is dark as to that around it."""


@dataclass(frozen=True)
class ToothFit:
    """Places along the arch of drawn teeth from those of a source's own: less `shift`, over `size`."""

    shift: float = 0.0
    size: float = 1.0

    @staticmethod
    def of(light: Pixels, cover: Pixels, along: Array, per_unit: float) -> ToothFit:
        """The best fit to a picture of own teeth; as usual where none is clear.

        Args:
            light: (h, w). cover: (h, w) of the teeth. along: (w,) places of its columns along the arch, rising.
            per_unit: pixels to a head unit.
        """
        columns, dark = _dark(light, cover, per_unit)
        if len(columns) < 2:
            return ToothFit()
        places = along[columns]
        ends = np.concatenate([[0.0], np.cumsum([width for width, _, _ in UPPER_TEETH[:TEETH]])])
        middles = 0.5 * (ends[1:] + ends[:-1])
        sizes, shifts = np.geomspace(*SIZES, 23)[:, None, None], np.linspace(*SHIFTS, 51)[:, None]

        def at(arc: Array) -> tuple[Array, NDArray[np.bool_]]:
            """How dark it is at these places of an arch, and whether something is seen there."""
            place = shifts + sizes * UPPER_ARCH * np.sin(arc / UPPER_ARCH)
            return np.asarray(np.interp(place, places, dark)), (place > places[0]) & (place < places[-1])

        gaps, seen = at(np.concatenate([-ends[:0:-1], ends]))
        teeth, known = at(np.concatenate([-middles[::-1], middles]))
        # Each gap lies between two teeth that are both seen: towards its ends a row darkens anyway.
        teeth = np.where(known, teeth, np.inf)
        beside = 0.5 * (teeth[..., :-1] + teeth[..., 1:])
        clearly = ((gaps[..., 1:-1] - beside > CLEAR) & seen[..., 1:-1]).sum(2)
        nearest = np.isclose(sizes[..., 0], 1.0) & (np.abs(shifts[:, 0]) <= 0.5 * UPPER_TEETH[0][0])
        enough = (seen.sum(2) >= FEWEST_GAPS) & ((clearly >= FEWEST_GAPS) | (nearest & (clearly > 0)))
        apart = _mean(gaps, seen) - _mean(teeth, known)
        unusual = RATHER_USUAL[0] * np.abs(shifts[:, 0]) + RATHER_USUAL[1] * np.abs(np.log2(sizes[:, 0]))
        clear = np.where(enough, apart - unusual, -1.0)
        size, shift = np.unravel_index(int(clear.argmax()), clear.shape)
        if clear[size, shift] < CLEAR:
            return ToothFit()
        return ToothFit(float(shifts[shift, 0]), float(sizes[size, 0, 0]))

    def places(self, along: Pixels) -> Pixels:
        """Places (h, w) along the arch of drawn teeth."""
        return (along - np.float32(self.shift)) * np.float32(1.0 / self.size)


def _mean(values: Array, known: NDArray[np.bool_]) -> Array:
    """Of values (a, b, n), over what is known of each (a, b)."""
    return np.asarray(np.where(known, values, 0.0).sum(2) / np.maximum(known.sum(2), 1))


def _dark(light: Pixels, cover: Pixels, per_unit: float) -> tuple[NDArray[np.intp], Pixels]:
    """Columns (N,) that show teeth, and how dark (N,) they are as to what lies around."""
    import cv2

    shown = cover > 0.8
    rows = np.arange(len(light))[:, None]
    edge = np.where(shown, rows, -1).max(0)
    looked_at = shown & (rows > edge - HEIGHT * per_unit) & (rows < edge - EDGE * per_unit)
    count = looked_at.sum(0)
    columns = np.flatnonzero(count > 1)
    if len(columns) < 2:
        return columns, np.zeros(len(columns), np.float32)
    mean = ((light * looked_at).sum(0)[columns] / count[columns]).astype(np.float32)[None]
    mean = cv2.GaussianBlur(mean, (0, 0), FINE * per_unit, borderType=cv2.BORDER_REPLICATE)
    reach = round(AROUND * per_unit)
    around = cv2.GaussianBlur(cv2.dilate(mean, np.ones((1, 2 * reach + 1))), (0, 0), reach / 2.0)
    return columns, np.asarray(1.0 - mean[0] / np.maximum(around[0], 1.0), np.float32)
