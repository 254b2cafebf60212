from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from avatarkit.nets.blocks import (
    AdaptiveGroupNorm,
    AdaptiveResBlock3D,
    Bottleneck2D,
    ResBlock2D,
    ResBlock3D,
    down,
    group_norm,
    set_checkpointing,
    up,
)
from avatarkit.nets.convs import Style

STYLE = Style(groups=4)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (96, 32), (1536, 32), (48, 16), (24, 8), (20, 4)])
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    assert group_norm(channels, Style()).num_groups == groups


def test_adaptive_norm_starts_as_a_plain_one(draw: torch.Generator) -> None:
    x, code = torch.randn(2, 8, 3, 4, 4, generator=draw), torch.randn(2, 5, generator=draw)
    assert torch.equal(AdaptiveGroupNorm(8, 5, STYLE)(x, code), F.group_norm(x, 4))


def test_adaptive_norm_gets_gradients_at_once_and_then_obeys_the_code(draw: torch.Generator) -> None:
    norm = AdaptiveGroupNorm(8, 5, STYLE)
    assert {name for name, _ in norm.named_parameters()} == {"modulation.weight", "modulation.bias"}
    x, code = torch.randn(2, 8, 3, 4, 4, generator=draw), torch.randn(2, 5, generator=draw)
    (norm(x, code) * torch.randn(x.shape, generator=draw)).sum().backward()
    assert norm.modulation.weight.grad.abs().amin() > 0
    with torch.no_grad():
        norm.modulation.weight -= 0.1 * norm.modulation.weight.grad
    assert not torch.allclose(norm(x, code), norm(x, -code))


def test_adaptive_norm_scales_and_shifts_by_linear_maps() -> None:
    norm = AdaptiveGroupNorm(2, 1, Style(groups=1))
    with torch.no_grad():
        norm.modulation.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    x = torch.tensor([[[[[1.0, -1.0]]], [[[1.0, -1.0]]]]])
    wanted = torch.tensor([[[[[3 * 1 + 6, -3 + 6]]], [[[5 * 1 + 8, -5 + 8]]]]], dtype=torch.float32)
    assert torch.allclose(norm(x, torch.tensor([[2.0]])), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("block", "shape", "outputs"),
    [
        (ResBlock2D(8, 12, STYLE), (2, 8, 6, 4), 12),
        (ResBlock3D(8, 12, STYLE), (2, 8, 3, 6, 4), 12),
        (Bottleneck2D(8, 4, STYLE), (2, 8, 6, 4), 16),
    ],
)
def test_blocks_keep_the_size(block: torch.nn.Module, shape: tuple[int, ...], outputs: int) -> None:
    assert block(torch.rand(shape)).shape == (shape[0], outputs, *shape[2:])


@pytest.mark.parametrize("block", [ResBlock2D(8, 8, STYLE), ResBlock3D(8, 8, STYLE)])
def test_skip_of_equal_channels_is_the_input(block: torch.nn.Module) -> None:
    with torch.no_grad():
        for conv in (block.conv1, block.conv2):
            conv.standardise, conv.spectral = False, None
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    x = torch.rand(1, 8, *[4] * block.dims)
    before = x.clone()
    assert torch.equal(block(x), before)
    assert torch.equal(x, before)


def test_skip_of_other_channels_has_the_styles_kernel() -> None:
    assert ResBlock2D(4, 8, STYLE).skip.kernel_size == (1, 1)
    assert ResBlock2D(4, 8, Style(skip_kernel=3)).skip.kernel_size == (3, 3)


def test_recomputed_activations_give_the_same_gradients(draw: torch.Generator) -> None:
    kept = AdaptiveResBlock3D(8, 8, 5, STYLE).train()
    again = copy.deepcopy(kept)
    set_checkpointing(again, True)
    x, code = torch.randn(2, 8, 2, 4, 4, generator=draw), torch.randn(2, 5, generator=draw)
    found = []
    for block in (kept, again):
        at = x.clone().requires_grad_()
        y = block(at, code)
        y.square().sum().backward()
        found.append([y.detach(), at.grad, *(parameter.grad for parameter in block.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_checkpointing_keeps_less() -> None:
    block, x = ResBlock2D(8, 8, STYLE), torch.rand(1, 8, 16, 16, requires_grad=True)

    def kept() -> int:
        seen: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t.numel()) or t, lambda t: t):
            block(x)
        return sum(seen)

    full = kept()
    set_checkpointing(block, True)
    assert kept() < full / 2
    set_checkpointing(block, False)
    assert kept() == full


@pytest.mark.parametrize("block", [ResBlock2D(8, 8, STYLE), ResBlock3D(8, 8, STYLE)])
def test_mixed_precision_keeps_no_wide_feature_map(block: torch.nn.Module) -> None:
    kept: list[torch.dtype] = []
    x = torch.rand(2, 8, *[8] * block.dims, dtype=torch.bfloat16, requires_grad=True)

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape == x.shape:
            kept.append(tensor.dtype)
        return tensor

    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        y = block(x)
    assert y.dtype == torch.bfloat16
    assert set(kept) == {torch.bfloat16}
    y.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in block.parameters())


def test_resampling() -> None:
    x = torch.arange(4.0).view(1, 1, 2, 2)
    assert down(x).flatten().tolist() == [1.5]
    assert up(x)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    volume = torch.rand(1, 1, 2, 4, 4)
    assert down(volume, (1, 2, 2)).shape == (1, 1, 2, 2, 2)
    assert up(volume, (1, 2, 2)).shape == (1, 1, 2, 8, 8)
    assert torch.allclose(up(torch.ones(1, 1, 2, 2, 2), (2, 2, 2)), torch.ones(1, 1, 4, 4, 4))
