"""Residual blocks of MegaPortraits and what stands between them.

Shapes: pictures and feature maps B x C x H x W, volumes B x C x D x H x W.
Source: N. Drobyshev et al., "MegaPortraits", ACM MM 2022, supplementary, figures 9 to 11.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avatarkit.devices import full_precision
from avatarkit.nets.convs import Conv2d, Conv3d, Style

__all__ = [
    "AdaptiveGroupNorm", "AdaptiveResBlock3D", "Bottleneck2D", "ResBlock2D", "ResBlock3D", "conv", "down", "group_norm",
    "in_full", "set_checkpointing", "up",
]  # fmt: skip


def conv(dims: int, inputs: int, outputs: int, kernel: int, style: Style, *, end: bool = False) -> Conv2d | Conv3d:
    """A convolution over 2 or 3 dimensions; see `convs`."""
    return (Conv2d if dims == 2 else Conv3d)(inputs, outputs, kernel, style, end=end)


class GroupNorm(nn.GroupNorm):
    """Group norm that answers in the precision of its input: statistics are taken in float32 anyway.

    Mixed precision would widen every feature map to float32 here, and keep it for the backward pass.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Norm B x C x ..."""
        with full_precision(input.device):
            weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
            return F.group_norm(input, self.num_groups, weight, bias, self.eps)


def group_norm(channels: int, style: Style) -> GroupNorm:
    """Group norm with the style's groups, or as many as divide the channels: 16 for 48 channels under 32."""
    return GroupNorm(math.gcd(channels, style.groups), channels)


def down(x: Tensor, factors: tuple[int, ...] = (2, 2)) -> Tensor:
    """Average over windows of `factors`, the innermost dimensions."""
    return F.avg_pool2d(x, factors) if len(factors) == 2 else F.avg_pool3d(x, factors)


def up(x: Tensor, factors: tuple[int, ...] = (2, 2)) -> Tensor:
    """Enlarge the innermost dimensions: volumes linearly, since they are sampled later, pictures by repeating."""
    scale = [float(factor) for factor in factors]
    if len(factors) == 2:
        return F.interpolate(x, scale_factor=scale, mode="nearest")
    return F.interpolate(x, scale_factor=scale, mode="trilinear", align_corners=False)


class AdaptiveGroupNorm(nn.Module):
    """Group norm whose scale and shift are linear maps of a code; it starts with scale 1 and shift 0.

    The maps start at zero, and their gradient, the code times that of scale and shift, does not.
    """

    def __init__(self, channels: int, code: int, style: Style) -> None:
        """Take the channels it norms and the code's length."""
        super().__init__()
        self.groups = math.gcd(channels, style.groups)
        self.modulation = nn.Linear(code, 2 * channels)
        nn.init.zeros_(self.modulation.weight)
        with torch.no_grad():
            self.modulation.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))

    def forward(self, x: Tensor, code_BE: Tensor) -> Tensor:
        """Norm B x C x ... under codes B x E."""
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        scale, shift = self.modulation(code_BE).to(x.dtype).chunk(2, dim=1)
        with full_precision(x.device):  # see GroupNorm
            return torch.addcmul(shift.view(shape), F.group_norm(x, self.groups), scale.view(shape))


class _Block(nn.Module):
    """A block that can forget its activations and compute them again when gradients need them."""

    checkpointing = False

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the block on a tensor, and a code where it takes one."""
        if self.checkpointing and torch.is_grad_enabled():
            # Nothing here draws random numbers.
            again: Tensor = checkpoint(self.body, *inputs, use_reentrant=False, preserve_rng_state=False)
            return again
        return self.body(*inputs)

    def body(self, *inputs: Tensor) -> Tensor:
        """What the block computes."""
        raise NotImplementedError


class _ResBlock(_Block):
    dims: int

    def __init__(self, inputs: int, outputs: int, style: Style) -> None:
        """Take the channels that come in and go out."""
        super().__init__()
        self.norm1 = group_norm(inputs, style)
        self.conv1 = conv(self.dims, inputs, outputs, 3, style)
        self.norm2 = group_norm(outputs, style)
        self.conv2 = conv(self.dims, outputs, outputs, 3, style)
        self.skip = _skip(self.dims, inputs, outputs, style)

    def body(self, *inputs: Tensor) -> Tensor:
        """Run it on one tensor."""
        (x,) = inputs
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        residual: Tensor = y + self.skip(x)
        return residual


class ResBlock2D(_ResBlock):
    """Twice norm, ReLU and 3x3 convolution, plus a skip; on feature maps."""

    dims = 2


class ResBlock3D(_ResBlock):
    """Twice norm, ReLU and 3x3x3 convolution, plus a skip; on volumes."""

    dims = 3


class AdaptiveResBlock3D(_Block):
    """ResBlock3D* of the warp generators: a ResBlock3D with adaptive norms."""

    def __init__(self, inputs: int, outputs: int, code: int, style: Style) -> None:
        """Take the channels that come in and go out, and the code's length."""
        super().__init__()
        self.norm1 = AdaptiveGroupNorm(inputs, code, style)
        self.conv1 = Conv3d(inputs, outputs, 3, style)
        self.norm2 = AdaptiveGroupNorm(outputs, code, style)
        self.conv2 = Conv3d(outputs, outputs, 3, style)
        self.skip = _skip(3, inputs, outputs, style)

    def body(self, *inputs: Tensor) -> Tensor:
        """Run it on a volume and a code B x E."""
        x, code_BE = inputs
        y = self.conv1(F.relu(self.norm1(x, code_BE), inplace=True))
        y = self.conv2(F.relu(self.norm2(y, code_BE), inplace=True))
        residual: Tensor = y + self.skip(x)
        return residual


class Bottleneck2D(_Block):
    """ResNet-50's block in the same manner: norm, ReLU and convolution, 1x1, 3x3 and 1x1, plus a skip."""

    expansion = 4

    def __init__(self, inputs: int, width: int, style: Style) -> None:
        """Take the channels that come in and those of the 3x3 convolution; four times as many go out."""
        super().__init__()
        outputs = self.expansion * width
        self.norm1 = group_norm(inputs, style)
        self.conv1 = Conv2d(inputs, width, 1, style)
        self.norm2 = group_norm(width, style)
        self.conv2 = Conv2d(width, width, 3, style)
        self.norm3 = group_norm(width, style)
        self.conv3 = Conv2d(width, outputs, 1, style)
        self.skip = _skip(2, inputs, outputs, style)

    def body(self, *inputs: Tensor) -> Tensor:
        """Run it on one tensor."""
        (x,) = inputs
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        y = self.conv3(F.relu(self.norm3(y), inplace=True))
        residual: Tensor = y + self.skip(x)
        return residual


class Head(nn.Module):
    """The end of a network that draws: norm, ReLU and a convolution."""

    def __init__(self, dims: int, inputs: int, outputs: int, kernel: int, style: Style, *, end: bool = True) -> None:
        """Take 2 or 3 dimensions, the channels, and whether the convolution is its network's last."""
        super().__init__()
        self.norm = group_norm(inputs, style)
        self.conv = conv(dims, inputs, outputs, kernel, style, end=end)

    def forward(self, x: Tensor) -> Tensor:
        """Return what goes into the network's last non-linearity."""
        drawn: Tensor = self.conv(F.relu(self.norm(x), inplace=True))
        return drawn


def in_full(layer: nn.Module, x: Tensor) -> Tensor:
    """Run a network's last layer in the precision of its weights, whatever mixed precision says.

    bf16 has 129 levels in [0.5, 1]: pictures would show bands, and offsets of a warp steps of a tenth of a pixel.
    """
    with full_precision(x.device):
        drawn: Tensor = layer(x.to(next(layer.parameters()).dtype))
        return drawn


def set_checkpointing(net: nn.Module, enabled: bool) -> None:
    """Let all residual blocks of a net compute their activations again for the backward pass, or keep them.

    Less memory for about a third more time; gradients are the same.
    """
    for module in net.modules():
        if isinstance(module, _Block):
            module.checkpointing = enabled


def _skip(dims: int, inputs: int, outputs: int, style: Style) -> nn.Module:
    return nn.Identity() if inputs == outputs else conv(dims, inputs, outputs, style.skip_kernel, style)
