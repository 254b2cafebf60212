"""Batches in an order that is a function of the position alone.

All samples form one endless sequence. A step takes the next `batch` of them, split over passes and processes,
so a batch does not depend on how many processes share it, and a training resumes by its first position.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from avatarkit.errors import AvatarkitError
from avatarkit.training.failures import lost_workers_explained


class Samples(Protocol):
    """Where samples come from."""

    def __len__(self) -> int:
        """Samples of one epoch."""

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        """The sample at any position from 0 on, epochs one after another; a function of the position alone."""


class Positioned(Dataset[dict[str, Any]]):
    """Samples that know their position."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, position: int) -> dict[str, Any]:
        return {**self._samples[position], "position": position}


class Guarded(Dataset["dict[str, Any] | AvatarkitError"]):
    """Positioned samples for a loader: an error that a user can act on is handed over in a sample's place.

    A loader would put the traceback of its worker process into the message of whatever is raised there.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = Positioned(samples)

    def __getitem__(self, position: int) -> dict[str, Any] | AvatarkitError:
        try:
            return self._samples[position]
        except AvatarkitError as error:
            return error


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


def collate_or_error(samples: Sequence[Mapping[str, Any] | AvatarkitError]) -> dict[str, Any] | AvatarkitError:
    """As `collate`; the first error where there is one."""
    usable = []
    for sample in samples:
        if isinstance(sample, AvatarkitError):
            return sample
        usable.append(sample)
    return collate(usable)


def read_batches(samples: Samples, passes: Passes, workers: int, *, pin: bool = False) -> Iterator[dict[str, Any]]:
    """The passes' batches without end; `workers` processes read ahead, 0 reads in this one.

    Raises:
        AvatarkitError: a sample cannot be read: as `samples` raises it, whichever process reads.
        LostWorkerError: a worker was killed.
    """
    loader: DataLoader[Any] = DataLoader(
        Guarded(samples),
        batch_sampler=passes,  # endless, so it has no length
        num_workers=workers,
        collate_fn=collate_or_error,
        pin_memory=pin,
        # The loader would draw from the global generator otherwise.
        generator=torch.Generator().manual_seed(0),
    )
    with lost_workers_explained() if workers else nullcontext():
        batches = iter(loader)
        if workers:
            _look_for_lost_workers_here_alone()
        for batch in batches:
            if isinstance(batch, AvatarkitError):
                # The error keeps this frame, and the frame must not keep the workers.
                del batches
                raise batch
            yield batch


def _look_for_lost_workers_here_alone() -> None:
    """Torch's handler would raise wherever the trainer is just then: within a step, or while it saves.

    Without it torch looks every few seconds, while it waits for a batch.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def fixed_batches(samples: Samples, count: int, size: int) -> Iterator[dict[str, Any]]:
    """The first `count` samples in batches of at most `size`, each time the same."""
    data = Positioned(samples)
    for first in range(0, count, size):
        yield collate([data[position] for position in range(first, min(first + size, count))])
