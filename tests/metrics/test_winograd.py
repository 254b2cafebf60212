"""Convolutions by Winograd's way: those of torch, with and without gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from avatarkit.metrics.winograd import WinogradConv


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 8), (5, 7), (31, 30)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_torchs_convolution(height: int, width: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    conv, x = WinogradConv(5, 6), torch.randn(3, 5, height, width).contiguous(memory_format=layout)
    wanted = F.conv2d(x, conv.weight, conv.bias, padding=1)
    assert torch.equal(conv(x), wanted)  # with gradients: torch's own
    with torch.no_grad():
        torch.testing.assert_close(conv(x), wanted, atol=2e-5, rtol=0)
        conv.weight.mul_(2)
        torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1), atol=4e-5, rtol=0)


def test_gradients_are_torchs() -> None:
    conv, x = WinogradConv(2, 3), torch.randn(1, 2, 6, 6, requires_grad=True)
    conv(x).sum().backward()
    (wanted,) = torch.autograd.grad(F.conv2d(x, conv.weight, conv.bias, padding=1).sum(), x)
    assert x.grad is not None
    assert torch.equal(x.grad, wanted)
