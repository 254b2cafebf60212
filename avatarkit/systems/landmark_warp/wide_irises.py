"""Irises that are wider than a tracker says: those of drawn figures and of dolls. It knows people's eyes alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.systems.landmark_warp.eye_frame import EyePatch

Array = NDArray[np.float64]

SECTOR_DEG = 20.0
"""An iris' edge is looked for this far above and below its sides, where lids and lashes are away."""
STEP, REACH = 0.05, 0.2
"""In radii: how finely it is looked for, and over what distance light has to rise from iris to white."""
WITHIN = (1.0, 1.65)
"""In radii as tracked: where the edge may be."""
CLEAR = 0.25
"""By this share of the white's light it rises at an edge."""
WIDER, EITHER_SIDE, BESIDE, ALIKE = 1.2, 1.05, 0.2, 0.2
"""An iris counts as wide from the first number of tracked radii on, where it reaches over the second on either side,
its middle lies at most the third beside the tracked one, and both eyes say so and differ by no more than the fourth:
shadows and lashes beside the irises of 226 photos do not look alike on all four sides."""


@dataclass(frozen=True)
class Disc:
    """An iris in its eye's coordinates: middle (2,) and radius."""

    middle: Array
    radius: float


def wide_irises(patches: Sequence[EyePatch], tracked: Sequence[Disc]) -> list[Disc]:
    """The irises of both eyes as they are seen, where both are clearly wider than tracked; else as tracked."""
    edges = [_edges(patch, disc) for patch, disc in zip(patches, tracked, strict=True)]
    if any(pair is None for pair in edges):
        return list(tracked)
    sides = np.array(edges, np.float64)
    wider, beside = sides.mean(1), 0.5 * (sides[:, 1] - sides[:, 0])
    wide = wider.min() > WIDER and sides.min() > EITHER_SIDE
    if not wide or np.abs(beside).max() > BESIDE or abs(wider[0] - wider[1]) > ALIKE:
        return list(tracked)
    return [
        Disc(disc.middle + np.array([aside * disc.radius, 0.0]), float(more * disc.radius))
        for disc, more, aside in zip(tracked, wider, beside, strict=True)
    ]


def _edges(patch: EyePatch, disc: Disc) -> tuple[float, float] | None:
    """Where an iris ends on its left and its right, in radii from its middle; None where one of them is not clear."""
    count = round(REACH / STEP)
    at = np.arange(WITHIN[0] - REACH - STEP, WITHIN[1] + REACH + 1.5 * STEP, STEP)
    angles = np.radians(np.linspace(-SECTOR_DEG, SECTOR_DEG, 9))
    found = []
    for side in (-1.0, 1.0):
        way = np.stack([side * np.cos(angles), np.sin(angles)], axis=1)
        places = disc.middle + disc.radius * at[:, None, None] * way
        light = np.median(patch.at(places.astype(np.float32)), axis=1).mean(1)
        levels = np.convolve(light, np.full(count, 1.0 / count), "valid")
        rises = levels[count:] - levels[:-count]
        # The outermost: a large pupil's edge is clearer than that of a dark ring around the iris.
        # Light that rises more and more to the end of the range has no edge within it.
        steepest = (rises[1:-1] >= rises[:-2]) & (rises[1:-1] > rises[2:])
        clear = rises >= CLEAR * np.maximum(levels[count:], 1.0)
        edges = 1 + np.flatnonzero(steepest & clear[1:-1])
        if not len(edges):
            return None
        found.append(float(at[0] + STEP * (edges[-1] + count - 0.5)))
    return found[0], found[1]
