"""Learning rates at exact steps."""

from __future__ import annotations

import pytest

from avatarkit.training.config import OptimConfig
from avatarkit.training.schedule import START_SHARE, learning_rate


def test_cosine_from_first_to_last_step() -> None:
    optim = OptimConfig(lr=2e-4, lr_end=1e-6)
    rates = [learning_rate(step, 101, optim) for step in range(101)]
    assert rates[0] == 2e-4
    assert rates[50] == pytest.approx((2e-4 + 1e-6) / 2)
    assert rates[100] == pytest.approx(1e-6)
    assert rates == sorted(rates, reverse=True)
    assert learning_rate(1000, 101, optim) == pytest.approx(1e-6)


def test_one_cycle_rises_and_falls() -> None:
    optim = OptimConfig(lr=1e-3, lr_end=0.0, schedule="one-cycle", rise=0.1)
    rates = [learning_rate(step, 101, optim) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3 * START_SHARE)
    assert rates.index(max(rates)) == 10
    assert rates[10] == pytest.approx(1e-3)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)


def test_one_step_has_the_highest_rate() -> None:
    assert learning_rate(0, 1, OptimConfig()) == 2e-4
