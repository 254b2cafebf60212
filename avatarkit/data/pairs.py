"""What the networks train on: two frames of one clip, and two of a clip of another person; photos of two people.

Source: MegaPortraits (Drobyshev et al., 2022), section 3.1: source and driver are frames of one video; an additional
pair of another one enters the cycle loss. Section 3.2: the enhancer sees photos, alone and with another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray

from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.dataset import Dataset, Entry
from avatarkit.data.frames import Frame, FrameLoader
from avatarkit.data.order import epoch_order, sample_generator, two_frames
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError

MIN_GAP_FRAMES = 25
"""Source and driver are a second apart where the clip is long enough: neighbouring frames teach nothing."""

_USUAL_MOUTH, _USUAL_LIDS, _USUAL_TURN_DEG = 0.12, 0.08, 10.0
"""Standard deviations over 67 clips of 28 people, rounded; the turn's is a choice."""

Sample = dict[str, Any]
_PAIR, _PHOTO = SampleSpec(), SampleSpec("photos")


class ClipDataset(torch.utils.data.Dataset[Sample]):
    """The clips or photos of a split in a new order each epoch; what the datasets below have in common.

    Args:
        sample: what is read at once; see `SampleSpec`.
        The others as in `PairDataset`.

    Raises:
        InputError: no such dataset, one of another kind, nothing in the split, or only one person where two are needed.
    """

    def __init__(
        self,
        dataset: Dataset | Path | str,
        split: Split,
        seed: int,
        size: int | None,
        selected: bool,
        *,
        sample: SampleSpec,
        with_matte: bool,
    ) -> None:
        self.dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
        self.split, self.seed, self.sample = split, seed, sample
        check_kind(self.dataset, sample.kind)
        self._entries = split_entries(self.dataset, split, selected, sample.least_frames)
        # Sorted by person, so that what shows all others is what lies outside one range.
        self._entries.sort(key=lambda entry: (entry.info.identity, entry.info.clip_id))
        self._ranges = _same_person(self._entries)
        if sample.other and self._ranges[0] == (0, len(self._entries)):
            kind = "clips" if sample.kind == "videos" else "photos"
            raise InputError(
                f"{self.dataset.folder}: split {split} has {kind} of one person only"
                f" ({self._entries[0].info.identity}), two people are needed; prepare {sample.kind} of more people"
            )
        stored = self.dataset.manifest.size
        self._loader = FrameLoader(
            self.dataset, stored if size is None else size, with_matte, sample.columns, sample.lines,
            sample.lines_shrink,
        )

    @property
    def clips(self) -> list[ClipInfo]:
        """The clips or photos, by the numbers that samples give them."""
        return [entry.info for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Sample]:
        """The first epoch."""
        return (self[position] for position in range(len(self)))

    def _clip_at(self, position: int) -> int:
        """Number of the main clip of a sample; IndexError below 0."""
        epoch, place = _split_position(position, len(self))
        return int(_order(self.seed, epoch, len(self))[place])

    def _of_another_person(self, clip: int, generator: np.random.Generator) -> int:
        """Number of a clip that shows another person than this one; each has an equal chance."""
        first, stop = self._ranges[clip]
        drawn = int(generator.integers(len(self) - (stop - first)))
        return drawn if drawn < first else drawn + stop - first


@dataclass(frozen=True)
class HeadState:
    """Stored columns of a frame that say how expression and pose differ from another's."""

    mouth_opening: NDArray[np.float32]
    eye_opening: NDArray[np.float32]
    rotation: NDArray[np.float32]

    def difference(self, other: HeadState) -> float:
        """Mouth, lids and turn, each in units of what is usual among talking heads."""
        mouth = abs(float(self.mouth_opening - other.mouth_opening)) / _USUAL_MOUTH
        lids = float(np.abs(self.eye_opening - other.eye_opening).mean()) / _USUAL_LIDS
        # The chord between rotations: for small angles the angle times the square root of 2, in radians.
        turn = float(np.linalg.norm(self.rotation - other.rotation)) / np.sqrt(2)
        return mouth + lids + float(np.degrees(turn)) / _USUAL_TURN_DEG


class PairDataset(ClipDataset):
    """Pairs of frames, map-style: the sample at any position is a function of (seed, position) alone.

    Positions run through all epochs one after another: position = epoch * len(dataset) + place. In each epoch each clip
    is the main one once. Any position from 0 up can be asked for, by any process and in any order, so a training
    resumes in mid-epoch by its position, and the number of workers changes nothing.

    A sample is {"source", "driver", "other_source", "other_driver": `avatarkit.data.frames.Frame`, "clip",
    "other_clip": int64 (), places in `clips`}. The other clip is of another person, each such with equal chance. Where
    the sample has several sources or a window of drivers, their tensors are stacked.

    Args:
        dataset: a folder of kind "videos", or one that is open already.
        split: "train", "val" or "test".
        seed: of order and choice.
        size: side of the pictures in pixels; None for the stored size.
        selected: use only clips that the selection keeps.
        sample: what is read at once. with_matte: read mattes.
        min_gap: frames between source and driver, as `order.two_frames`.

    Raises:
        InputError: no such dataset, one of photos, no clip of two frames in the split, or only one person.
    """

    def __init__(
        self,
        dataset: Dataset | Path | str,
        split: Split,
        seed: int,
        size: int | None = None,
        selected: bool = True,
        *,
        sample: SampleSpec = _PAIR,
        with_matte: bool = True,
        min_gap: int = MIN_GAP_FRAMES,
    ) -> None:
        super().__init__(dataset, split, seed, size, selected, sample=sample, with_matte=with_matte)
        self._places = {entry.info.clip_id: place for place, entry in enumerate(self._entries)}
        self._min_gap = min_gap
        self._same_video = _same_video(self._entries) if sample.candidates > 1 else []

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position. Raises IndexError below 0, InputError where a frame cannot be read."""
        clip = self._clip_at(position)
        generator = sample_generator(self.seed, position)
        sample = self._pair(clip, generator, "")
        if self.sample.other:
            sample |= self._pair(self._of_another_person(clip, generator), generator, "other_")
        return sample

    def frame(self, clip_id: str, index: int = 0, size: int | None = None) -> Frame:
        """One frame of a clip by its id; raises KeyError for a clip or a frame that the split does not have."""
        entry = self._entries[self._places[clip_id]]
        if not 0 <= index < entry.info.frames:
            raise KeyError(f"{clip_id} has frames 0 to {entry.info.frames - 1}, not {index}")
        loader = self._loader if size is None else replace(self._loader, size=size)
        return loader.load(entry, index)

    def _pair(self, clip: int, generator: np.random.Generator, prefix: str) -> Sample:
        entry = self._entries[clip]
        source, driver = two_frames(generator, entry.info.frames, self._min_gap)
        driven = entry
        if self.sample.candidates > 1:
            driven, driver = self._most_different(clip, source, driver, generator)
        more = generator.integers(entry.info.frames, size=self.sample.sources - 1)
        # A window lies around its driver, within the clip.
        first = min(max(driver - self.sample.window // 2, 0), entry.info.frames - self.sample.window)
        return {
            f"{prefix}source": self._frames(entry, [source, *more.tolist()]),
            f"{prefix}driver": self._frames(entry, range(first, first + self.sample.window))
            if self.sample.window > 1
            else self._loader.load(driven, driver),
            f"{prefix}clip": torch.tensor(clip),
        }

    def _most_different(self, clip: int, source: int, driver: int, generator: np.random.Generator) -> tuple[Entry, int]:
        """The driver that differs most from the source, of the one drawn and of others from any clip of the video."""
        drawn = [(clip, driver)]
        clips = self._same_video[clip]
        frames = np.cumsum([self._entries[place].info.frames for place in clips])
        for number in generator.integers(frames[-1], size=self.sample.candidates - 1).tolist():
            place = int(np.searchsorted(frames, number, side="right"))
            drawn.append((clips[place], int(number - frames[place] + self._entries[clips[place]].info.frames)))
        drawn = [item for item in drawn if item != (clip, source)]
        reference = self._state(self._entries[clip], source)
        best, index = max(drawn, key=lambda item: reference.difference(self._state(self._entries[item[0]], item[1])))
        return self._entries[best], index

    def _state(self, entry: Entry, index: int) -> HeadState:
        reader, number = self.dataset.reader(entry.shard), entry.first_frame + index
        return HeadState(*(reader.row(name, number) for name in ("mouth_opening", "eye_opening", "rotation")))

    def _frames(self, entry: Entry, numbers: Sequence[int]) -> Frame:
        """One frame as it is, several stacked."""
        frames = [self._loader.load(entry, number) for number in numbers]
        first = frames[0]
        return first if len(frames) == 1 else {key: torch.stack([frame[key] for frame in frames]) for key in first}


class PhotoDataset(ClipDataset):
    """Single photos, map-style like `PairDataset`: in each epoch each photo comes once.

    A sample is a `avatarkit.data.frames.Frame` with "clip", int64 (), the photo's place in `clips`, and "partner", the
    same of a photo of another person, each such with equal chance.

    Args:
        dataset: a folder of kind "photos", or one that is open already.
        split, seed, size, selected, sample, with_matte: as in `PairDataset`.

    Raises:
        InputError: no such dataset, one of videos, no photo in the split, or only one person.
    """

    def __init__(
        self,
        dataset: Dataset | Path | str,
        split: Split,
        seed: int,
        size: int | None = None,
        selected: bool = True,
        *,
        sample: SampleSpec = _PHOTO,
        with_matte: bool = True,
    ) -> None:
        super().__init__(dataset, split, seed, size, selected, sample=sample, with_matte=with_matte)

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position. Raises IndexError below 0, InputError where a photo cannot be read."""
        photo = self._clip_at(position)
        sample: Sample = {**self._photo(photo)}
        if self.sample.other:
            sample["partner"] = self._photo(self._of_another_person(photo, sample_generator(self.seed, position)))
        return sample

    def _photo(self, number: int) -> Frame:
        return {**self._loader.load(self._entries[number], 0), "clip": torch.tensor(number)}


def open_samples(
    dataset: Dataset, split: Split, seed: int, size: int, sample: SampleSpec
) -> PairDataset | PhotoDataset:
    """Samples of a split as a stage declares them; InputError as the classes above."""
    opened = PairDataset if sample.kind == "videos" else PhotoDataset
    return opened(dataset, split, seed, size, sample=sample)


def check_kind(dataset: Dataset, kind: str) -> None:
    """Raise InputError unless a dataset is of the kind "videos" or "photos"."""
    result = dataset.manifest.kind
    if result != kind:
        command = "prepare-data ffhq" if kind == "photos" else "prepare-data voxceleb2 or videos"
        raise InputError(f"{dataset.folder}: is a dataset of {result}, {kind} are needed; make one with {command}")


def split_entries(dataset: Dataset, split: Split, selected: bool, min_frames: int) -> list[Entry]:
    """Clips of a split with at least `min_frames`; raises InputError where there is none."""
    entries = [entry for entry in dataset.entries(split, selected=selected) if entry.info.frames >= min_frames]
    if not entries:
        counts = {name: totals.clips for name, totals in dataset.manifest.totals.items()}
        kept = " that is selected" if selected and dataset.selection is not None else ""
        there = ", ".join(f"{name} {count}" for name, count in counts.items()) or "no clips at all"
        raise InputError(f"{dataset.folder}: no clip of split {split}{kept}; the dataset has {there}")
    return entries


def _same_person(entries: list[Entry]) -> list[tuple[int, int]]:
    """For each clip of a list sorted by person, the range of that person's clips."""
    ranges: list[tuple[int, int]] = []
    while (first := len(ranges)) < len(entries):
        stop = first + 1
        while stop < len(entries) and entries[stop].info.identity == entries[first].info.identity:
            stop += 1
        ranges += [(first, stop)] * (stop - first)
    return ranges


def _same_video(entries: list[Entry]) -> list[list[int]]:
    """For each clip of a list, the places of all clips of its video, itself among them."""
    videos: dict[tuple[str, str], list[int]] = {}
    for place, entry in enumerate(entries):
        videos.setdefault((entry.info.identity, entry.info.video), []).append(place)
    return [videos[entry.info.identity, entry.info.video] for entry in entries]


def _split_position(position: int, length: int) -> tuple[int, int]:
    if position < 0:
        raise IndexError(f"position {position}: positions count from 0")
    return divmod(position, length)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> Any:
    return epoch_order(seed, epoch, count)
