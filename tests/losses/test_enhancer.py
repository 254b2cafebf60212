"""The enhancer's cycle: what is drawn larger must stay what it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.systems.megaportraits.losses import downsampled_cycle


def test_exact_values() -> None:
    base = torch.zeros(1, 1, 8, 8)
    base[..., :4, :4] = 1
    assert downsampled_cycle(base, torch.zeros(1, 1, 16, 16)).item() == 0.25
    enlarged = base.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert downsampled_cycle(base, enlarged).item() == 0


def test_detail_is_free_as_long_as_the_means_stay() -> None:
    stripes = (torch.arange(32) % 2).double().expand(1, 3, 32, 32)
    assert downsampled_cycle(torch.full((1, 3, 16, 16), 0.5).double(), stripes).item() == 0


def test_background_does_not_count() -> None:
    base, matte = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    matte[..., :4] = 1
    enhanced = torch.ones(1, 3, 16, 16)
    assert downsampled_cycle(base, enhanced, matte).item() == 0.5
    enhanced[..., 8:] = 7
    assert downsampled_cycle(base, enhanced, matte).item() == 0.5


def test_only_the_enhanced_picture_gets_gradients(picture) -> None:
    base = picture(1, 2, 8, 8).requires_grad_()
    enhanced = picture(1, 2, 16, 16, seed=1).requires_grad_()
    downsampled_cycle(base, enhanced).backward()
    assert base.grad is None

    def loss(image: Tensor) -> Tensor:
        return downsampled_cycle(base, image)

    assert torch.autograd.gradcheck(loss, (enhanced,), fast_mode=True)


@pytest.mark.parametrize("shapes", [((1, 3, 8, 8), (1, 3, 8, 8)), ((1, 3, 6, 8), (1, 3, 12, 16))])
def test_sizes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match="twice"):
        downsampled_cycle(*map(torch.zeros, shapes))
