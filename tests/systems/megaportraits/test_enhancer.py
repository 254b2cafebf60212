from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.systems.megaportraits.build import build_enhancer
from avatarkit.systems.megaportraits.config import PRESETS, EnhancerConfig


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 12)])
def test_output_is_exactly_twice_as_large(enhancer_config: EnhancerConfig, height: int, width: int) -> None:
    drawn = build_enhancer(enhancer_config, seed=0)(torch.rand(2, 3, height, width))
    assert drawn.shape == (2, 3, 2 * height, 2 * width)
    assert 0 <= drawn.min() < drawn.max() <= 1


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_double_their_size(name: str) -> None:
    config = PRESETS[name].enhancer
    with torch.device("meta"):
        net, frame = build_enhancer(config, seed=0), torch.empty(1, 3, config.size, config.size)
    assert config.size == PRESETS[name].base.size
    assert net(frame).shape == (1, 3, 2 * config.size, 2 * config.size)


def test_tanh_is_taken_to_colours(enhancer_config: EnhancerConfig) -> None:
    net = build_enhancer(enhancer_config, seed=0)
    with torch.no_grad():
        net.head.conv.weight.zero_()
        net.head.conv.bias.copy_(torch.tensor([-30.0, 0.0, 30.0]))
    assert net(torch.rand(1, 3, 8, 8))[0, :, 0, 0].tolist() == [0, 0.5, 1]


def test_every_parameter_gets_a_gradient(enhancer_config: EnhancerConfig, draw: torch.Generator) -> None:
    net = build_enhancer(enhancer_config, seed=0)
    drawn = net(torch.rand(1, 3, 16, 16, generator=draw))
    (drawn * torch.randn(drawn.shape, generator=draw)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_bad_sizes_are_refused(enhancer_config: EnhancerConfig) -> None:
    with pytest.raises(UsageError, match="frame of 16 x 9 px: this enhancer takes sides that 2 divides"):
        build_enhancer(enhancer_config, seed=0)(torch.rand(1, 3, 9, 16))
    with pytest.raises(UsageError, match="3 enlargements after 2 poolings"):
        build_enhancer(replace(enhancer_config, up_widths=(8, 8, 8)), seed=0)
