"""The order of samples and the choice of frames: functions of seed, epoch and position alone."""

from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data.order import epoch_order, positions, sample_generator, two_frames


def test_an_epoch_has_each_item_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(3, epoch, 50).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert epoch_order(3, 1, 50).tolist() == orders[1]
    assert epoch_order(4, 1, 50).tolist() != orders[1]


def test_positions_of_all_ranks_are_all_positions() -> None:
    ranks = [list(islice(positions(rank=rank, world=3, start=7), 4)) for rank in range(3)]
    assert ranks == [[9, 12, 15, 18], [7, 10, 13, 16], [8, 11, 14, 17]]


@given(st.integers(2, 90), st.integers(1, 40), st.integers(0, 10_000))
def test_two_frames_differ_and_are_apart_where_the_clip_allows(frames: int, gap: int, position: int) -> None:
    first, second = two_frames(sample_generator(0, position), frames, gap)
    assert 0 <= first < frames
    assert 0 <= second < frames
    assert abs(first - second) >= min(gap, frames // 2) >= 1


def test_two_frames_reach_every_allowed_pair_and_no_other() -> None:
    drawn = [two_frames(sample_generator(0, position), 6, 2) for position in range(3000)]
    assert set(drawn) == {(i, j) for i in range(6) for j in range(6) if abs(i - j) >= 2}
    first = np.bincount([i for i, _ in drawn], minlength=6)
    assert first.min() > 400


def test_samples_have_their_own_numbers() -> None:
    drawn = {tuple(sample_generator(s, p).integers(0, 1 << 30, 2)) for s in range(3) for p in range(3)}
    assert len(drawn) == 9
    assert sample_generator(1, 2).integers(1 << 30) == sample_generator(1, 2).integers(1 << 30)
