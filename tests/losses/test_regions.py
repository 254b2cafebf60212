"""Losses of regions, identities and styles: exact values on tiny inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from avatarkit.losses.adversarial import least_squares_d, least_squares_g
from avatarkit.losses.regions import cosface, identity_loss, region_loss, style_loss


def box(side: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :side, :side] = 1
    return mask


@pytest.mark.parametrize("squared", [False, True])
def test_what_differs_outside_the_region_does_not_count(squared: bool) -> None:
    target = torch.rand(1, 3, 16, 16)
    predicted = torch.where(box(4) > 0, target, torch.rand(1, 3, 16, 16))
    assert region_loss(predicted, target, box(4), squared=squared).item() == 0


@pytest.mark.parametrize(("squared", "wanted"), [(False, 0.6), (True, 0.12)])
def test_a_constant_difference_counts_alike_in_any_box(squared: bool, wanted: float) -> None:
    target = torch.rand(1, 3, 16, 16)
    for side in (4, 8):
        assert region_loss(target + 0.2, target, box(side), squared=squared).item() == pytest.approx(wanted, rel=1e-5)
    assert region_loss(target + 0.2, target, box(0)).item() == 0


def test_each_sample_counts_alike() -> None:
    target = torch.zeros(2, 3, 16, 16)
    both = region_loss(target + torch.tensor([0.1, 0.3]).view(2, 1, 1, 1), target, torch.cat([box(2), box(9)]))
    assert both.item() == pytest.approx(3 * 0.2, rel=1e-5)


def test_identity_loss_is_one_less_the_cosine_and_pulls_the_first_alone() -> None:
    drawn, wanted = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[1.0, 1.0]], requires_grad=True)
    loss = identity_loss(drawn, wanted)
    assert loss.item() == pytest.approx(1 - math.sqrt(0.5))
    loss.backward()
    assert wanted.grad is None
    assert drawn.grad is not None


def test_style_is_blind_to_places() -> None:
    maps = [torch.rand(1, 4, 8, 8)]
    assert style_loss(maps, [maps[0].flip(-1)]).item() == pytest.approx(0, abs=1e-6)
    ones = torch.ones(1, 2, 4, 4)
    assert style_loss([2 * ones], [ones]).item() == pytest.approx((4 - 1) / 2)


def test_cosface_is_a_cross_entropy_with_a_margin_on_the_own_person() -> None:
    cosines, labels = torch.tensor([[0.8, 0.1, -0.3]]), torch.tensor([0])
    shifted = torch.tensor([[0.8 - 0.35, 0.1, -0.3]])
    assert cosface(cosines, labels, 30.0, 0.35).item() == pytest.approx(F.cross_entropy(30 * shifted, labels).item())
    assert cosface(cosines, labels, 30.0, 0.35) > cosface(cosines, labels, 30.0, 0.0)


def test_least_squares_want_1_for_real_and_0_for_other_pictures() -> None:
    real, fake = [torch.tensor([1.0, 3.0])], [torch.tensor([0.0, 2.0])]
    assert least_squares_d(real, fake).item() == pytest.approx(2 + 2)
    assert least_squares_g(fake).item() == pytest.approx(1)
