"""Batches in an order that is a function of the position alone.

All samples form one endless sequence. A step takes the next `batch` of them, split over passes and processes,
so a batch does not depend on how many processes share it, and a training resumes by its first position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, default_collate


class Samples(Protocol):
    """Where samples come from."""

    def __len__(self) -> int:
        """Samples of one epoch."""

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        """The sample at any position from 0 on, epochs one after another; a function of the position alone."""


class Positioned(Dataset[dict[str, Any]]):
    """Samples that know their position; with `partner` each also brings another one under "partner".

    Args:
        samples: where they come from.
        partner: add the sample half an epoch later (for stages that need two unrelated photos).
    """

    def __init__(self, samples: Samples, *, partner: bool = False) -> None:
        self._samples = samples
        self._partner = partner

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, position: int) -> dict[str, Any]:
        found = dict(self._samples[position])
        if self._partner:
            found["partner"] = dict(self._samples[position + max(len(self) // 2, 1)])
        found["position"] = position
        return found


class Passes:
    """Positions of each pass of one process, from a step on, without end.

    Args:
        batch: samples per step over all. passes: of one step. rank, world: this process and how many there are.
        start_step: the first step, from 0.
    """

    def __init__(self, batch: int, passes: int, rank: int, world: int, start_step: int) -> None:
        self._batch, self._passes, self._rank, self._world = batch, passes, rank, world
        self._start_step = start_step
        self.size = batch // (passes * world)

    def __iter__(self) -> Iterator[list[int]]:
        step = self._start_step
        while True:
            for number in range(self._passes):
                first = step * self._batch + (number * self._world + self._rank) * self.size
                yield list(range(first, first + self.size))
            step += 1


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Samples as one batch of tensors; "positions" is a plain list, which stays on the CPU."""
    positions = [int(sample["position"]) for sample in samples]
    tensors = [{key: value for key, value in sample.items() if key != "position"} for sample in samples]
    return {**default_collate(tensors), "positions": positions}


def open_loader(
    samples: Samples, passes: Passes, workers: int, *, partner: bool = False, pin: bool = False
) -> DataLoader[Any]:
    """A loader of the passes' batches; `workers` processes read ahead, 0 reads in this one."""
    return DataLoader(
        Positioned(samples, partner=partner),
        batch_sampler=passes,  # endless, so it has no length
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        # The loader would draw from the global generator otherwise.
        generator=torch.Generator().manual_seed(0),
    )


def fixed_batches(samples: Samples, count: int, size: int, *, partner: bool = False) -> Iterator[dict[str, Any]]:
    """The first `count` samples in batches of at most `size`, each time the same."""
    data = Positioned(samples, partner=partner)
    for first in range(0, count, size):
        yield collate([data[position] for position in range(first, min(first + size, count))])
