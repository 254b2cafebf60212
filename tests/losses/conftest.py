"""Tiny pictures in double precision, and what every loss must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avatarkit.errors import UsageError


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """picture(*shape, seed=0): float64 in [0, 1]."""

    def make(*shape: int, seed: int = 0) -> Tensor:
        draws = torch.Generator().manual_seed(seed)
        return torch.rand(shape, generator=draws, dtype=torch.float64)

    return make


class Blocks(nn.Module):
    """In place of a feature net: five maps, smooth in the picture and each of another size."""

    name = "blocks"
    weights_sha256 = None

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [torch.sin(3 * image)]
        while len(maps) < 5:
            maps.append(torch.nn.functional.avg_pool2d(torch.sin(2 * maps[-1]), 2))
        return maps


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


class PictureLossSuite:
    """What holds for every loss of (prediction, target, matte); a test class names its loss and the least size."""

    size = 8

    def loss(self, prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def test_it_is_a_scalar(self, picture: Any) -> None:
        loss = self.loss(picture(2, 3, self.size, self.size), picture(2, 3, self.size, self.size, seed=1))
        assert loss.shape == ()
        assert loss > 0

    def test_equal_pictures_cost_nothing(self, picture: Any) -> None:
        image = picture(2, 3, self.size, self.size)
        assert self.loss(image, image.clone()).item() == 0

    def test_background_does_not_count(self, picture: Any) -> None:
        prediction, target = picture(1, 3, self.size, self.size), picture(1, 3, self.size, self.size, seed=1)
        matte = torch.zeros(1, 1, self.size, self.size, dtype=torch.float64)
        matte[..., : self.size // 2] = 1
        other = torch.where(matte > 0, prediction, 1 - prediction)
        assert self.loss(prediction, target, matte) == self.loss(other, target, matte) > 0
        assert self.loss(prediction, target, 0 * matte).item() == 0

    def test_samples_count_alike(self, picture: Any) -> None:
        prediction, target = picture(2, 3, self.size, self.size), picture(2, 3, self.size, self.size, seed=1)
        matte = picture(2, 1, self.size, self.size, seed=2)
        matte[1] *= 0.1
        alone = [self.loss(prediction[[i]], target[[i]], matte[[i]]) for i in (0, 1)]
        torch.testing.assert_close(self.loss(prediction, target, matte), (alone[0] + alone[1]) / 2)

    def test_sizes_that_differ_are_refused(self, picture: Any) -> None:
        image = picture(1, 3, self.size, self.size)
        for prediction, target, matte in (
            (image, picture(1, 3, self.size, 2 * self.size), None),
            (image, picture(2, 3, self.size, self.size), None),
            (image, image, image),
        ):
            with pytest.raises(UsageError, match=r"differ; give them one shape|matte .* needs") as caught:
                self.loss(prediction, target, matte)
            assert "\n" not in str(caught.value)

    def test_gradients(self, picture: Any) -> None:
        target, matte = picture(1, 3, self.size, self.size, seed=1), picture(1, 1, self.size, self.size, seed=2)
        prediction = picture(1, 3, self.size, self.size).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: self.loss(x, target, matte), (prediction,), fast_mode=True)

    def test_gradients_reach_the_prediction(self, picture: Any) -> None:
        prediction = picture(1, 3, self.size, self.size).requires_grad_()
        self.loss(prediction, picture(1, 3, self.size, self.size, seed=1)).backward()
        assert prediction.grad is not None
        assert prediction.grad.abs().sum() > 0
