"""Which samples come when: pure functions of (seed, epoch) and (seed, position). There is no other state.

Samples form one endless sequence, epoch after epoch; a sample's number in it is its position. A reader that stops at
position k goes on at position k, whatever read the positions before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ORDER, _SAMPLE = 0, 1


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of an epoch: each of `count` items once, (count,)."""
    return np.random.default_rng([_ORDER, seed, epoch]).permutation(count).astype(np.int64)


def positions(*, rank: int = 0, world: int = 1, start: int = 0) -> Iterator[int]:
    """Positions of one of `world` processes without end, from position `start` on; a sampler for map-style datasets."""
    position = start + (rank - start) % world
    while True:
        yield position
        position += world


def sample_generator(seed: int, position: int) -> np.random.Generator:
    """The random numbers of the sample at a position."""
    return np.random.default_rng([_SAMPLE, seed, position])


def two_frames(generator: np.random.Generator, frames: int, min_gap: int) -> tuple[int, int]:
    """Two different frames of a clip of `frames` >= 2, `min_gap` or more apart where that leaves each frame a partner.

    The first is any frame with equal chance, and so is the second among those far enough from it.
    """
    gap = max(1, min(min_gap, frames // 2))
    first = int(generator.integers(frames))
    before, after = max(first - gap + 1, 0), max(frames - first - gap, 0)
    drawn = int(generator.integers(before + after))
    return first, drawn if drawn < before else first + gap + drawn - before
