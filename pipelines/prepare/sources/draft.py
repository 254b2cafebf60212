"""A plan in the making, and what all sources need to make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from avatarkit.data.clip import Split
from avatarkit.data.plan import Dropped, PlannedItem
from avatarkit.data.split import draw
from avatarkit.data.voxceleb import Problem

BYTES_PER_PIXEL = 0.35
"""Of a stored frame with its matte, at JPEG quality 95; it only sizes shards and estimates."""
COLUMN_BYTES = 5900
"""Of a frame's annotations."""


@dataclass
class Draft:
    """A plan in the making: items with their splits and expected bytes, what is left out, what is malformed."""

    items: list[tuple[Split, PlannedItem, int]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def frame_bytes(size: int) -> int:
    """Expected bytes of a stored frame of that side in pixels."""
    return round(BYTES_PER_PIXEL * size**2) + COLUMN_BYTES


def limited(keys: Sequence[str], limit: int | None, seed: int) -> list[str]:
    """Keys in their order, or as many of them as `--limit` allows, drawn by the seed."""
    if limit is None or len(keys) <= limit:
        return list(keys)
    chosen = set(sorted(keys, key=lambda key: (draw(key, seed), key))[:limit])
    return [key for key in keys if key in chosen]
