"""The pairs of warp and truth on the disk: computed once, mapped from there, resumed by their key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from avatarkit.atomic import write_json, write_whole
from avatarkit.errors import InputError
from avatarkit.reading import read_array, read_arrays, read_json
from avatarkit.systems.refined_warp.batch import Batch
from avatarkit.systems.refined_warp.network import RefinementConfig
from avatarkit.systems.refined_warp.patches import NAMES
from avatarkit.systems.refined_warp.samples import Sample, shapes

ABOUT, ROWS = "pairs.json", "rows.safetensors"
MOST_ROWS = 64 << 20
"""Bytes of what is kept of all moments beside their pictures."""


@dataclass(frozen=True)
class Pairs:
    """All moments of the footage.

    parts: by name, uint8 (N, h, w, 9). held_out: (N,) which are not learned from. followed: (N,) after which the next
    frame of the same shot comes, and is held out as it is, or learned from as it is.
    """

    parts: Mapping[str, NDArray[np.uint8]]
    matrices: NDArray[np.float32]
    poses: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    followed: NDArray[np.bool_]

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Some of them."""
        parts = {name: torch.from_numpy(part[rows]).permute(0, 3, 1, 2) for name, part in self.parts.items()}
        return Batch(parts, torch.from_numpy(self.matrices[rows]), torch.from_numpy(self.poses[rows]))


class PairWriter:
    """Writes `count` moments into a folder; they are there when `finish` has been called."""

    def __init__(self, folder: Path, count: int, config: RefinementConfig) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._row = folder, 0
        self._parts = {
            name: np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(count, height, width, 9)
            )
            for name, (width, height) in shapes(config).items()
        }
        self._matrices = np.zeros((count, len(NAMES), 2, 3), np.float32)
        self._poses = np.zeros((count, 3), np.float32)
        self._held, self._followed = np.zeros(count, bool), np.zeros(count, bool)

    def add(self, sample: Sample, *, held_out: bool, followed: bool) -> None:
        """The next moment."""
        for name, part in sample.parts.items():
            self._parts[name][self._row] = part
        self._matrices[self._row], self._poses[self._row] = sample.matrices, sample.pose
        self._held[self._row], self._followed[self._row] = held_out, followed
        self._row += 1

    def finish(self, about: Mapping[str, Any]) -> None:
        """All are there; `about` says what they are of."""
        for part in self._parts.values():
            part.flush()
        rows = {
            "matrices": self._matrices, "poses": self._poses, "held_out": self._held, "followed": self._followed,
        }  # fmt: skip
        write_whole(self._folder / ROWS, save(rows))
        write_json(self._folder / ABOUT, about)


def read_pairs(folder: Path, config: RefinementConfig) -> tuple[Pairs, dict[str, Any]] | None:
    """What a folder holds; None where it was not finished, is damaged, or has other sizes."""
    try:
        about = read_json(folder / ABOUT)
        rows = read_arrays(folder / ROWS, MOST_ROWS)
        parts = {name: read_array(folder / f"{name}.npy", mapped=True) for name in NAMES}
        pairs = Pairs(parts, rows["matrices"], rows["poses"], rows["held_out"], rows["followed"])
    except (FileNotFoundError, KeyError, InputError):
        return None
    count = pairs.held_out.size
    wanted = {name: (count, height, width, 9) for name, (width, height) in shapes(config).items()}
    sound = {name: part.shape for name, part in parts.items()} == wanted and all(
        array.shape == (count, *shape) and array.dtype == kind and np.isfinite(array).all()
        for array, shape, kind in (
            (pairs.matrices, (len(NAMES), 2, 3), np.float32), (pairs.poses, (3,), np.float32),
            (pairs.held_out, (), np.bool_), (pairs.followed, (), np.bool_),
        )
    )  # fmt: skip
    sound = sound and not pairs.followed[-1:].any()
    return (pairs, about) if sound and all(part.dtype == np.uint8 for part in parts.values()) else None


def chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Rows, `size` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
