"""What the networks train on: two frames of one clip, and two of a clip of another person; photos of two people.

Source: MegaPortraits (Drobyshev et al., 2022), section 3.1: source and driver are frames of one video; an additional
pair of another one enters the cycle loss. Section 3.2: the enhancer sees photos, alone and with another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatarkit.data.clip import Split
from avatarkit.data.clip_dataset import ClipDataset, Sample
from avatarkit.data.dataset import Dataset
from avatarkit.data.frames import Frame
from avatarkit.data.order import sample_generator, two_frames
from avatarkit.data.samples import SampleSpec

MIN_GAP_FRAMES = 25
"""Source and driver are a second apart where the clip is long enough: neighbouring frames teach nothing."""

_USUAL_MOUTH, _USUAL_LIDS, _USUAL_TURN_DEG = 0.12, 0.08, 10.0
"""Standard deviations over 67 clips of 28 people, rounded; the turn's is a choice."""


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
        sample: SampleSpec | None = None,
        with_matte: bool = True,
        min_gap: int = MIN_GAP_FRAMES,
    ) -> None:
        super().__init__(dataset, split, seed, size, selected, sample=sample, with_matte=with_matte)
        self._min_gap = min_gap
        if self.sample.candidates > 1:
            # Clips by video, and each one's video in that order.
            self._by_video = np.argsort(self._column("video"), kind="stable").astype(np.int32)
            self._videos = self._column("video")[self._by_video]

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
        clip = self._numbers[clip_id]
        if not 0 <= index < self._frame_count(clip):
            raise KeyError(f"{clip_id} has frames 0 to {self._frame_count(clip) - 1}, not {index}")
        loader = self._loader if size is None else replace(self._loader, size=size)
        return loader.load(*self._place(clip, index))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {clip_id: number for number, (clip_id, _) in enumerate(self.names)}

    def _pair(self, clip: int, generator: np.random.Generator, prefix: str) -> Sample:
        count = self._frame_count(clip)
        source, driver = two_frames(generator, count, self._min_gap)
        driven = clip
        if self.sample.candidates > 1:
            driven, driver = self._most_different(clip, source, driver, generator)
        more = generator.integers(count, size=self.sample.sources - 1)
        # A window lies around its driver, within the clip.
        first = min(max(driver - self.sample.window // 2, 0), count - self.sample.window)
        return {
            f"{prefix}source": self._frames(clip, [source, *more.tolist()]),
            f"{prefix}driver": self._frames(clip, range(first, first + self.sample.window))
            if self.sample.window > 1
            else self._load(driven, driver),
            f"{prefix}clip": torch.tensor(clip),
        }

    def _most_different(self, clip: int, source: int, driver: int, generator: np.random.Generator) -> tuple[int, int]:
        """The driver that differs most from the source, of the one drawn and of others from any clip of the video."""
        drawn = [(clip, driver)]
        video = self._cell("video", clip)
        clips = self._by_video[slice(*np.searchsorted(self._videos, [video, video + 1]))].tolist()
        frames = np.cumsum([self._frame_count(other) for other in clips])
        for number in generator.integers(frames[-1], size=self.sample.candidates - 1).tolist():
            place = int(np.searchsorted(frames, number, side="right"))
            drawn.append((clips[place], int(number - frames[place] + self._frame_count(clips[place]))))
        drawn = [item for item in drawn if item != (clip, source)]
        reference = self._state(clip, source)
        return max(drawn, key=lambda item: reference.difference(self._state(*item)))

    def _state(self, clip: int, index: int) -> HeadState:
        shard, number = self._place(clip, index)
        reader = self.dataset.reader(shard)
        return HeadState(*(reader.row(name, number) for name in ("mouth_opening", "eye_opening", "rotation")))

    def _frames(self, clip: int, numbers: Sequence[int]) -> Frame:
        """One frame as it is, several stacked."""
        frames = [self._load(clip, number) for number in numbers]
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

    usual = SampleSpec("photos")

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position. Raises IndexError below 0, InputError where a photo cannot be read."""
        photo = self._clip_at(position)
        sample: Sample = {**self._photo(photo)}
        if self.sample.other:
            sample["partner"] = self._photo(self._of_another_person(photo, sample_generator(self.seed, position)))
        return sample

    def _photo(self, number: int) -> Frame:
        return {**self._load(number, 0), "clip": torch.tensor(number)}


def open_samples(
    dataset: Dataset, split: Split, seed: int, size: int, sample: SampleSpec
) -> PairDataset | PhotoDataset:
    """Samples of a split as a stage declares them; InputError as the classes above."""
    opened = PairDataset if sample.kind == "videos" else PhotoDataset
    return opened(dataset, split, seed, size, sample=sample)
