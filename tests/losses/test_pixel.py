"""The pixel loss: colours and edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.losses.pixel import gradient_l1, pixel_loss

from .conftest import PictureLossSuite


class TestPixelLoss(PictureLossSuite):
    def loss(self, prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
        return pixel_loss(prediction, target, matte)


def test_gradient_of_a_ramp() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert gradient_l1(ramp).item() == 1
    assert gradient_l1(2 * ramp + ramp.mT).item() == 3


def test_exact_values() -> None:
    black, ramp = torch.zeros(1, 1, 4, 4), torch.arange(4.0).expand(1, 1, 4, 4)
    # Colours 1.5; gradients 1 at full size, 2 at half.
    assert pixel_loss(ramp, black, scales=1).item() == 2.5
    assert pixel_loss(ramp, black, scales=2).item() == 3.0
    assert pixel_loss(ramp, black, scales=2, gradient_weight=4).item() == 7.5


def test_even_light_costs_its_level_and_no_gradient() -> None:
    black = torch.zeros(1, 3, 8, 8)
    assert pixel_loss(black + 0.25, black).item() == 0.25


def test_blurring_costs_more_than_colours_alone_say() -> None:
    stripes = (torch.arange(8) % 2).float().expand(1, 1, 8, 8)
    grey = torch.full_like(stripes, 0.5)
    assert pixel_loss(grey, stripes, scales=1).item() == 1.5


@pytest.mark.parametrize(("side", "scales"), [(8, 0), (8, 4), (1, 1)])
def test_too_many_scales_are_refused(side: int, scales: int) -> None:
    image = torch.zeros(1, 3, side, side)
    with pytest.raises(UsageError, match=f"at {scales} scales of {side} px"):
        pixel_loss(image, image, scales=scales)


def test_pixels_count_by_their_weights() -> None:
    white, weights = torch.ones(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    weights[..., 1, 2] = 9
    assert pixel_loss(white, torch.zeros_like(white), weights=weights, scales=1, gradient_weight=0).item() == 1.5
