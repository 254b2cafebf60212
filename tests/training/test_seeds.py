"""Seeds depend on all that they are derived from, and on nothing else."""

from __future__ import annotations

import torch

from avatarkit.training.seeds import derive, sample_seeds


def test_each_part_counts() -> None:
    seeds = [
        derive(0),
        derive(1),
        derive(0, 1),
        derive(0, "a"),
        derive(0, "a", 1),
        derive(0, "a", 2),
        derive(0, 1, "a"),
    ]
    assert len(set(seeds)) == len(seeds)
    assert derive(0, "a", 1) == seeds[4]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_samples_seed_is_its_own() -> None:
    found = sample_seeds(3, [5, 6, 7], "flip")
    assert found.dtype == torch.int64
    assert torch.equal(found[1:], sample_seeds(3, [6, 7], "flip"))
    assert not torch.equal(found, sample_seeds(3, [5, 6, 7], "colour"))
