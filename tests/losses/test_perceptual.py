"""The perceptual loss: feature maps, weights and scales."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.losses.perceptual import LAYER_WEIGHTS, perceptual

from .conftest import Blocks, PictureLossSuite


class TestPerceptual(PictureLossSuite):
    size = 32

    def loss(self, prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
        return perceptual(Blocks(), prediction, target, matte, scales=2)


class Levels(nn.Module):
    """The picture itself, five times: twice, three times ... as bright. Keeps the sizes it saw."""

    name = "levels"
    weights_sha256 = None

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool]] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.seen.append((image.shape[-1], torch.is_grad_enabled()))
        return [(layer + 1) * image for layer in range(5)]


def test_exact_value() -> None:
    image = torch.zeros(1, 3, 16, 16)
    wanted = sum((layer + 1) * weight for layer, weight in enumerate(LAYER_WEIGHTS))
    assert perceptual(Levels(), image + 0.5, image).item() == pytest.approx(0.5 * wanted)
    assert perceptual(Levels(), image + 1, image, layer_weights=(0, 0, 1, 0, 0)).item() == 3


def test_scales_halve_and_are_averaged() -> None:
    net, image = Levels(), torch.zeros(1, 3, 64, 64)
    one = perceptual(net, image + 0.5, image)
    torch.testing.assert_close(perceptual(net, image + 0.5, image, scales=3), one)
    assert [size for size, _ in net.seen[2:]] == [64, 64, 32, 32, 16, 16]
    # Noise is lost in a smaller picture, so that each scale asks for something else.
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert perceptual(net, noise, image + 0.5, scales=3) < 0.7 * perceptual(net, noise, image + 0.5)


def test_target_is_seen_without_gradients() -> None:
    net, image = Levels(), torch.zeros(1, 3, 16, 16)
    perceptual(net, image.clone().requires_grad_(), image + 1)
    assert sorted(graph for _, graph in net.seen) == [False, True]


def test_frozen_net_stays_and_hands_gradients_through(blocks: Blocks) -> None:
    prediction = torch.rand(1, 3, 16, 16).requires_grad_()
    perceptual(blocks, prediction, torch.zeros(1, 3, 16, 16)).backward()
    assert prediction.grad is not None
    assert prediction.grad.abs().min() > 0


@pytest.mark.parametrize(("side", "scales"), [(64, 4), (64, 0), (8, 1)])
def test_too_many_scales_are_refused(side: int, scales: int) -> None:
    image = torch.zeros(1, 3, side, side)
    with pytest.raises(UsageError, match=f"at {scales} scales of {side} px"):
        perceptual(Levels(), image, image, scales=scales)
