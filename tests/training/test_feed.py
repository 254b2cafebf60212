"""The order of samples is a function of the position; processes and passes only share it out."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_heads import Pairs
from toy_stage import train_toy

from avatarkit.checkpoint import list_checkpoints, open_checkpoint
from avatarkit.errors import InputError
from avatarkit.training.failures import TrainingError
from avatarkit.training.feed import Passes, fixed_batches, read_batches
from avatarkit.training.sources import TrainData


def positions(batch: int, passes: int, rank: int, world: int, start: int, count: int) -> list[list[int]]:
    return list(itertools.islice(Passes(batch, passes, rank, world, start), count))


def test_processes_and_passes_share_a_step() -> None:
    assert positions(8, 1, 0, 1, 0, 2) == [list(range(8)), list(range(8, 16))]
    shares = [positions(8, 2, rank, 2, 1, 2) for rank in (0, 1)]
    assert shares == [[[8, 9], [12, 13]], [[10, 11], [14, 15]]]
    assert sorted(itertools.chain(*shares[0], *shares[1])) == list(range(8, 16))


def test_a_later_start_gives_the_same_steps() -> None:
    assert positions(4, 2, 1, 2, 0, 8)[6:] == positions(4, 2, 1, 2, 3, 2)


def test_loader_tells_positions_and_ignores_workers() -> None:
    found = []
    for workers in (0, 1):
        batches = read_batches(Pairs(size=16), Passes(4, 1, 0, 1, 2), workers)
        found.append(list(itertools.islice(batches, 2)))
    for one, other in zip(*found, strict=True):
        assert one["positions"] == other["positions"]
        assert torch.equal(one["driver"]["image"], other["driver"]["image"])
    assert [batch["positions"] for batch in found[0]] == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert found[0][0]["driver"]["image"].shape == (4, 3, 16, 16)


def test_loader_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    next(read_batches(Pairs(size=16), Passes(4, 1, 0, 1, 0), 0))
    assert torch.equal(torch.get_rng_state(), before)


class Troubled(Pairs):
    """Cannot read one sample, or sends signals to the trainer and the worker that reads it."""

    signals: tuple[tuple[int, int], ...] = ()

    def __getitem__(self, position: int) -> dict[str, Any]:
        if position == 5:
            for process, number in self.signals:
                os.kill(process or os.getpid(), number)
            raise InputError("shard: frame 5 is damaged; run `avatarkit data verify`")
        return super().__getitem__(position)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_sample_is_told_alike_by_all_processes(workers: int) -> None:
    batches = read_batches(Troubled(size=16), Passes(4, 1, 0, 1, 0), workers)
    assert next(batches)["positions"] == [0, 1, 2, 3]
    with pytest.raises(InputError) as caught:
        next(batches)
    assert str(caught.value) == "shard: frame 5 is damaged; run `avatarkit data verify`"


@pytest.fixture
def deadly(videos: TrainData, monkeypatch: pytest.MonkeyPatch) -> TrainData:
    """Data of which one sample kills its reader."""
    loader = torch.utils.data.dataloader._MultiProcessingDataLoaderIter
    look = loader._try_get_data
    monkeypatch.setattr(loader, "_try_get_data", lambda self: look(self, 0.2))  # torch looks every 5 s
    troubled = Troubled()
    troubled.signals = ((0, signal.SIGKILL),)
    return replace(videos, train=troubled)


def test_a_killed_worker_says_what_to_lower(tmp_path: Path, deadly: TrainData) -> None:
    with pytest.raises(TrainingError, match=r"reads ahead was lost .*lower --workers \(0 reads") as caught:
        train_toy(tmp_path, deadly, workers=1)
    assert "\n" not in str(caught.value)


def test_a_request_that_ends_the_workers_too_is_heeded(tmp_path: Path, deadly: TrainData) -> None:
    assert isinstance(deadly.train, Troubled)
    deadly.train.signals = ((os.getpid(), signal.SIGTERM), (0, signal.SIGTERM))
    _, ended = train_toy(tmp_path, deadly, workers=1)
    assert ended.reason == "asked to stop"
    assert ended.step <= 1
    assert [open_checkpoint(path).meta.step for path in list_checkpoints(tmp_path)] == [1][: ended.step]


def test_fixed_batches_cover_the_count() -> None:
    assert [batch["positions"] for batch in fixed_batches(Pairs(size=16), 5, 2)] == [[0, 1], [2, 3], [4]]
