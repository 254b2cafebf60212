"""The order of samples is a function of the position; processes and passes only share it out."""

from __future__ import annotations

import itertools

import torch
from synthetic_heads import Pairs, Photos

from avatarkit.training.feed import Passes, fixed_batches, open_loader


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
        loader = open_loader(Pairs(size=16), Passes(4, 1, 0, 1, 2), workers)
        found.append(list(itertools.islice(loader, 2)))
    for one, other in zip(*found, strict=True):
        assert one["positions"] == other["positions"]
        assert torch.equal(one["driver"]["image"], other["driver"]["image"])
    assert [batch["positions"] for batch in found[0]] == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert found[0][0]["driver"]["image"].shape == (4, 3, 16, 16)


def test_loader_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    next(iter(open_loader(Pairs(size=16), Passes(4, 1, 0, 1, 0), 0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_partner_is_another_sample() -> None:
    (batch,) = fixed_batches(Photos(people=4, size=16), 3, 4, partner=True)
    photos = Photos(people=4, size=16)
    for row in range(3):
        assert torch.equal(batch["image"][row], photos[row]["image"])
        assert torch.equal(batch["partner"]["image"][row], photos[row + 2]["image"])


def test_fixed_batches_cover_the_count() -> None:
    assert [batch["positions"] for batch in fixed_batches(Pairs(size=16), 5, 2)] == [[0, 1], [2, 3], [4]]
