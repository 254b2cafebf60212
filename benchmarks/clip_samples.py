"""Samples of chosen frames of a dataset's clips: drivers, windows in time, one person's for inner steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from learning_runs import ClipPairs

from avatarkit.data.pairs import PairDataset
from avatarkit.systems.metaportrait.stages.frames import prepared
from avatarkit.training.seeds import derive


class Repeated:
    """A few samples without end."""

    def __init__(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        return self._samples[position % len(self._samples)]


def windows(dataset: PairDataset, clip: str, length: int) -> list[Mapping[str, Any]]:
    """All windows of a clip, one behind the other, with its first frame as the source."""
    count = dataset.clips[clip_numbers(dataset)[clip]].frames
    frames = [dataset.frame(clip, index) for index in range(min(count, 100))]
    return [
        {"source": frames[0], "driver": stacked(frames[first : first + length]), "clip": torch.tensor(0)}
        for first in range(0, len(frames) - length + 1, length)
    ]


def singles(clips: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The frames of windows, each with its window's source."""
    return [
        {**one, "driver": {name: value[number] for name, value in one["driver"].items()}}
        for one in clips
        for number in range(len(one["driver"]["image"]))
    ]


def stacked(frames: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Frames as one stack."""
    return {name: torch.stack([frame[name] for frame in frames]) for name in frames[0]}


def person(dataset: PairDataset, clip: str, frames: int, held: int, seed: int) -> dict[str, torch.Tensor]:
    """A clip's first frame, so many frames of its first part for the inner steps, and so many of its last fifth."""
    count = dataset.clips[clip_numbers(dataset)[clip]].frames
    early = [derive(seed, clip, number) % (4 * count // 5) for number in range(frames)]
    late = np.linspace(4 * count // 5, count - 1, held).astype(int).tolist()
    return prepared(stacked([dataset.frame(clip, index) for index in (0, *early, *late)]))


def driven(samples: ClipPairs, every: int) -> list[Mapping[str, Any]]:
    """The first frame of each clip with the driver at every so many frames."""
    return [
        {"source": samples.frame(clip, 0), "driver": samples.frame(clip, index), "clip": torch.tensor(clip)}
        for clip, info in enumerate(samples.clips)
        for index in range(every, info.frames, every)
    ]


def clip_numbers(dataset: PairDataset) -> dict[str, int]:
    """Places of a dataset's clips by id."""
    return {clip.clip_id: number for number, clip in enumerate(dataset.clips)}
