"""What `--dry-run` works out of a training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avatarkit.errors import UsageError
from avatarkit.pipelines.train.plan import plan
from avatarkit.pipelines.train.run import TrainJob


def test_dry_run_shares_the_batch_out() -> None:
    job = TrainJob("base", None, None, "tiny-64")
    alone, shared = plan(job), plan(replace(job, processes=2))
    assert (alone.at_once, shared.at_once) == (4, 2)
    assert shared.memory.activations * 2 == alone.memory.activations
    assert shared.memory.weights == alone.memory.weights
    with pytest.raises(UsageError, match="does not divide by 3 processes"):
        plan(replace(job, processes=3))


def test_dry_run_counts_losses_that_begin_late() -> None:
    late = ("steps=3000", "loss.cycle=1", "cycle_from=1500")
    job = TrainJob("base", None, None, "tiny-64", sets=late)
    without = plan(replace(job, sets=(*late, "loss.cycle=0")))
    assert plan(job).memory.activations > without.memory.activations
