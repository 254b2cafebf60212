"""Masking and plain distances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avatarkit.devices import at_least_single
from avatarkit.losses.foreground import foreground, l1, over_background, weighted_l1

from .conftest import PictureLossSuite


class TestL1(PictureLossSuite):
    def loss(self, prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
        return l1(prediction, target, matte)


def test_exact_values() -> None:
    prediction = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    target, matte = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    assert l1(prediction, target).item() == 2.5
    assert l1(prediction, target, matte).item() == 0.5
    assert foreground(prediction, target, matte)[0].flatten().tolist() == [1, 1, 0, 0]


def test_a_foreground_before_another_background() -> None:
    prediction = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    target, matte = torch.full((1, 1, 2, 2), 8.0), torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    assert over_background(prediction, target, matte).flatten().tolist() == [1, 5, 8, 8]
    assert torch.equal(over_background(target, target, matte), target)


def test_layers_are_weighted_and_summed() -> None:
    ones, zeros = [torch.ones(1, 2), torch.ones(3)], [torch.zeros(1, 2), torch.zeros(3)]
    assert weighted_l1(ones, zeros, (2, 0.5)).item() == 2.5
    with pytest.raises(ValueError, match="zip"):
        weighted_l1(ones, zeros, (1,))


def test_half_precision_is_widened_and_double_stays() -> None:
    assert at_least_single(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert at_least_single(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
    near, far = torch.full((1, 1), 1.0, dtype=torch.bfloat16), torch.zeros(1, 1, dtype=torch.bfloat16)
    assert weighted_l1([near], [far], (1 / 3,)).item() == pytest.approx(1 / 3, rel=1e-6)
