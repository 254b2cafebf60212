"""The clips or photos of a split, as what they train on is drawn from them; see `pairs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, overload

import numpy as np
import torch.utils.data
from numpy.typing import NDArray

from avatarkit.data.clip import SPLITS, ClipInfo, Split
from avatarkit.data.clip_table import ClipTable
from avatarkit.data.dataset import Dataset
from avatarkit.data.frames import Frame, FrameLoader
from avatarkit.data.order import epoch_order
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError

Sample = dict[str, Any]


@dataclass(frozen=True)
class ClipNames(Sequence[tuple[str, str]]):
    """(clip id, identity) of some rows of a table, read from it as they are asked for."""

    table: ClipTable
    rows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> ClipNames: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | ClipNames:
        if isinstance(index, slice):
            return ClipNames(self.table, self.rows[index])
        row = int(self.rows[index])
        return self.table.clip_id(row), self.table.identity(row)


class ClipDataset(torch.utils.data.Dataset[Sample]):
    """The clips or photos of a split in a new order each epoch; what the datasets below have in common.

    Args:
        sample: what is read at once; None for the class's `usual`.
        The others as in `PairDataset`.

    Raises:
        InputError: no such dataset, one of another kind, nothing in the split, or only one person where two are needed.
    """

    usual: ClassVar[SampleSpec] = SampleSpec()

    def __init__(
        self,
        dataset: Dataset | Path | str,
        split: Split,
        seed: int,
        size: int | None = None,
        selected: bool = True,
        *,
        sample: SampleSpec | None = None,
        with_matte: bool = True,
    ) -> None:
        sample = sample or self.usual
        self.dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
        self.split, self.seed, self.sample = split, seed, sample
        check_kind(self.dataset, sample.kind)
        # Rows of the table, which is sorted by person: what shows all others is what lies outside one range.
        self._rows = _usable_rows(self.dataset, split, selected, sample.least_frames)
        people = self._column("person")
        self._bounds = np.concatenate([[0], np.flatnonzero(np.diff(people)) + 1, [len(people)]])
        if sample.other and len(self._bounds) == 2:
            kind = "clips" if sample.kind == "videos" else "photos"
            raise InputError(
                f"{self.dataset.folder}: split {split} has {kind} of one person only"
                f" ({self.names[0][1]}), two people are needed; prepare {sample.kind} of more people"
            )
        stored = self.dataset.manifest.size
        self._loader = FrameLoader(
            self.dataset, stored if size is None else size, with_matte, sample.columns, sample.lines,
            sample.lines_shrink,
        )

    @property
    def names(self) -> ClipNames:
        """(clip id, identity) of the clips or photos, by the numbers that samples give them."""
        return ClipNames(self.dataset.table, self._rows)

    @cached_property
    def clips(self) -> list[ClipInfo]:
        """All that is known of them, read from the shards; not for datasets of a million clips."""
        infos = {info.clip_id: info for info in self.dataset.clips(self.split, selected=False)}
        return [infos[clip_id] for clip_id, _ in self.names]

    def _column(self, name: str) -> NDArray[np.int32]:
        """A column of the table, (len(self),)."""
        return self.dataset.table.column(name)[self._rows]

    def _cell(self, name: str, clip: int) -> int:
        return int(self.dataset.table.column(name)[self._rows[clip]])

    def _frame_count(self, clip: int) -> int:
        return self._cell("frames", clip)

    def _place(self, clip: int, index: int) -> tuple[str, int]:
        """In which shard a frame of a clip is, and as which."""
        shard = self.dataset.manifest.shards[self._cell("shard", clip)]
        return shard.name, self._cell("first_frame", clip) + index

    def _load(self, clip: int, index: int) -> Frame:
        return self._loader.load(*self._place(clip, index))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        """The first epoch."""
        return (self[position] for position in range(len(self)))

    def _clip_at(self, position: int) -> int:
        """Number of the main clip of a sample; IndexError below 0."""
        epoch, place = _split_position(position, len(self))
        return int(_order(self.seed, epoch, len(self))[place])

    def _of_another_person(self, clip: int, generator: np.random.Generator) -> int:
        """Number of a clip that shows another person than this one; each has an equal chance."""
        after = int(np.searchsorted(self._bounds, clip, side="right"))
        first, stop = int(self._bounds[after - 1]), int(self._bounds[after])
        drawn = int(generator.integers(len(self) - (stop - first)))
        return drawn if drawn < first else drawn + stop - first


def check_kind(dataset: Dataset, kind: str) -> None:
    """Raise InputError unless a dataset is of the kind "videos" or "photos"."""
    result = dataset.manifest.kind
    if result != kind:
        command = "prepare-data ffhq" if kind == "photos" else "prepare-data voxceleb2 or videos"
        raise InputError(f"{dataset.folder}: is a dataset of {result}, {kind} are needed; make one with {command}")


def people_in(dataset: Dataset, split: Split, least_frames: int) -> int:
    """How many people a split has in selected clips of so many frames."""
    rows = _matching_rows(dataset, split, True, least_frames)
    return len(np.unique(dataset.table.column("person")[rows]))


def _matching_rows(dataset: Dataset, split: Split, selected: bool, least_frames: int) -> NDArray[np.int32]:
    table = dataset.table
    usable = (table.column("split") == SPLITS.index(split)) & (table.column("frames") >= least_frames)
    if selected:
        usable &= table.column("selected") == 1
    return np.flatnonzero(usable).astype(np.int32)


def _usable_rows(dataset: Dataset, split: Split, selected: bool, least_frames: int) -> NDArray[np.int32]:
    """Rows of the clips of a split with at least so many frames; raises InputError where there is none."""
    rows = _matching_rows(dataset, split, selected, least_frames)
    if not len(rows):
        counts = {name: totals.clips for name, totals in dataset.manifest.totals.items()}
        kept = " that is selected" if selected and dataset.selection is not None else ""
        there = ", ".join(f"{name} {count}" for name, count in counts.items()) or "no clips at all"
        raise InputError(f"{dataset.folder}: no clip of split {split}{kept}; the dataset has {there}")
    return rows


def _split_position(position: int, length: int) -> tuple[int, int]:
    if position < 0:
        raise IndexError(f"position {position}: positions count from 0")
    return divmod(position, length)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> Any:
    return epoch_order(seed, epoch, count)
