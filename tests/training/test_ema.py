"""The average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avatarkit.training.ema import Ema


def nets(value: float) -> nn.ModuleDict:
    net = nn.ModuleDict({"a": nn.BatchNorm1d(1)})
    nn.init.constant_(net["a"].weight, value)
    net["a"].running_mean.fill_(value)
    return net


def test_it_follows_fast_at_first_and_slowly_later() -> None:
    ema = Ema(nets(0), decay=0.9)
    ema.update(nets(1), step=0)
    assert ema.nets["a"].weight.item() == pytest.approx(0.9)
    ema.update(nets(0), step=10_000)
    assert ema.nets["a"].weight.item() == pytest.approx(0.81)


def test_buffers_are_copied_and_nothing_trains() -> None:
    ema = Ema(nets(0), decay=0.9)
    ema.update(nets(3), step=0)
    assert ema.nets["a"].running_mean.item() == 3
    assert not any(parameter.requires_grad for parameter in ema.nets.parameters())
    assert not ema.nets.training


def test_the_trained_nets_are_not_touched() -> None:
    trained = nets(1)
    Ema(trained, 0.9).update(trained, 0)
    assert trained["a"].weight.requires_grad
    assert torch.equal(trained["a"].weight, torch.ones(1))
