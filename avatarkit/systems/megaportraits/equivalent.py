"""Layers that draw what a student's draw in less time, for files that run elsewhere.

They are made for onnxruntime on CPUs, whose convolutions pad channels to multiples of 16 unless they are of three
dimensions, and whose DepthToSpace takes longer than the convolution that it saves:

- of two rows that repeat one row, a 3 x 3 convolution sees two others: two convolutions of 2 x 3, side by side at half
  the height, are two thirds of the work (W. Shi et al., "Is the deconvolution layer the same as a convolutional
  layer?", arXiv:1609.07009, there for columns too);
- the last convolution answers for 2 x 2 pixels at once: 12 channels cost no more than 3;
- between maps of 24 channels, which would cost as much as 32, convolutions are written as three-dimensional ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.nets.convs import Conv2d
from avatarkit.systems.megaportraits.student import EnlargingConv2d, Modulation, Student, StudentBlock

__all__ = ["Deep", "FourPixels", "RepeatedRows", "rearranged"]

_WASTE = 1.5
"""Work with padded channels over work without, from which on a three-dimensional convolution is faster."""


class RepeatedRows(nn.Module):
    """The convolution of a map whose pixels are repeated, B x C x h x w to B x D x 2h x 2w."""

    def __init__(self, layer: EnlargingConv2d) -> None:
        """Take a folded layer of 3 x 3."""
        super().__init__()
        self.outputs, inputs = layer.weight.shape[:2]
        # [row, q, k]: whether tap k of the three falls on tap q of the two, for the first and the second row of a pair.
        falls = layer.weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        weight = torch.einsum("rqk,oikl->roiql", falls, layer.weight)
        self.weight = _kept(weight.reshape(2 * self.outputs, inputs, 2, 3))
        self.bias = _kept(_bias(layer).repeat(2))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        wide = F.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest")
        y = F.conv2d(wide, self.weight, self.bias, padding=1)
        first, second = y[:, : self.outputs, :-1], y[:, self.outputs :, 1:]
        return torch.stack((first, second), dim=3).flatten(2, 3)


class FourPixels(nn.Module):
    """A 3 x 3 convolution that answers for 2 x 2 pixels at once."""

    def __init__(self, layer: nn.Conv2d) -> None:
        """Take a folded layer of 3 x 3; the maps it is given have even sides."""
        super().__init__()
        outputs, inputs = layer.weight.shape[:2]
        weight = layer.weight.new_zeros(outputs, 2, 2, inputs, 4, 4)
        for row in (0, 1):
            for column in (0, 1):
                weight[:, row, column, :, row : row + 3, column : column + 3] = layer.weight
        self.weight = _kept(weight.reshape(4 * outputs, inputs, 4, 4))
        self.bias = _kept(_bias(layer).repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve B x C x H x W."""
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, stride=2, padding=1), 2)


class Deep(nn.Module):
    """A 3 x 3 convolution as one of three dimensions, over a depth of 1."""

    def __init__(self, layer: nn.Conv2d) -> None:
        """Take a folded layer."""
        super().__init__()
        self.weight, self.bias = _kept(layer.weight[:, :, None]), _kept(_bias(layer))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve B x C x H x W."""
        return F.conv3d(x[:, :, None], self.weight, self.bias, padding=(0, 1, 1))[:, :, 0]


class _Norm(nn.Module):
    """SPADE with modulations alone; torch's exporter must be told how many channels there are after `RepeatedRows`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = _kept(torch.ones(channels)), _kept(torch.zeros(channels))

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        normed = F.instance_norm(x, weight=self.scale, bias=self.shift)
        return torch.addcmul(modulation[1], normed, modulation[0])


def rearranged(student: Student) -> Student:
    """Put such layers into a student whose weights are folded, in place; it then draws with given modulations alone."""
    for block in student.blocks:
        assert isinstance(block, StudentBlock)
        if isinstance(block.conv1, EnlargingConv2d):
            block.spade1 = _Norm(block.conv1.out_channels)
            block.conv1 = RepeatedRows(block.conv1)
        if isinstance(block.conv2, Conv2d) and _padded(block.conv2) >= _WASTE:
            block.conv2 = Deep(block.conv2)
    assert isinstance(student.last, Conv2d)
    student.last = FourPixels(student.last)
    return student


def _padded(layer: nn.Conv2d) -> float:
    """Work with channels padded to multiples of 16 over work without."""
    outputs, inputs = layer.weight.shape[:2]
    return (-(-outputs // 16) * 16) * (-(-inputs // 16) * 16) / (outputs * inputs)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _kept(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().contiguous(), requires_grad=False)
