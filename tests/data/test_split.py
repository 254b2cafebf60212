"""People in splits: nobody in two, nobody moved by others, official tests honoured."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data.split import SplitConfig, check_disjoint, draw, split_of
from avatarkit.errors import InputError, UsageError


def test_draw_is_fixed_for_all_time() -> None:
    # First 8 bytes of sha256("0:id00012") over 2**64.
    assert draw("id00012", 0) == pytest.approx(0.56487038, abs=1e-8)
    assert draw("id00012", 1) != draw("id00012", 0)


def test_shares_among_many() -> None:
    config = SplitConfig(seed=3, val_share=0.1, test_share=0.2)
    count = Counter(split_of(f"id{number:05d}", config) for number in range(5000))
    assert count["val"] / 5000 == pytest.approx(0.1, abs=0.015)
    assert count["test"] / 5000 == pytest.approx(0.2, abs=0.02)


def test_official_test_people_are_the_test_set_and_nobody_else() -> None:
    config = SplitConfig(val_share=0.3, test_share=0.5)
    official = {f"id{number:05d}": "test" if number < 20 else "dev" for number in range(200)}
    splits = {name: split_of(name, config, official) for name in official}
    assert {name for name, split in splits.items() if split == "test"} == {f"id{n:05d}" for n in range(20)}
    assert sum(split == "val" for split in splits.values()) / 180 == pytest.approx(0.3, abs=0.08)
    assert split_of("id99999", config, official) in ("train", "val")


@given(st.text(max_size=20), st.integers(0, 5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_one_answer_per_person(identity: str, seed: int, val_share: float, test_share: float) -> None:
    config = SplitConfig(seed, val_share, test_share)
    assert split_of(identity, config) == split_of(identity, config)


def test_nothing_shared_means_all_train() -> None:
    config = SplitConfig(val_share=0, test_share=0)
    assert {split_of(str(number), config) for number in range(100)} == {"train"}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0), (0, 1.1), (0.6, 0.6)])
def test_impossible_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(UsageError, match="share"):
        SplitConfig(0, val, test)


def test_person_in_two_splits_is_found() -> None:
    check_disjoint([("a", "train"), ("b", "val"), ("a", "train")])
    with pytest.raises(InputError, match="a is in train and in val"):
        check_disjoint([("a", "train"), ("a", "val")])
