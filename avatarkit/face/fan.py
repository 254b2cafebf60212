"""2DFAN-4, the face alignment network: our own definition in the layout of the published state dict.

A. Bulat, G. Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem? (and a dataset of 230,000
3D facial landmarks)", ICCV 2017, section 3: four stacked hourglasses (A. Newell et al., ECCV 2016) made of the parallel
and multi-scale blocks of Bulat and Tzimiropoulos, "Binarized Convolutional Landmark Localizers", ICCV 2017.
Weights: "2dfan4" of the registry, as the authors publish them for face-alignment (BSD-3-Clause).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.face.types import SPARSE_LANDMARKS
from avatarkit.weights.load import load_into

__all__ = ["FAN", "HEAT_PX", "INPUT_PX", "load_2dfan4", "peaks"]

INPUT_PX, HEAT_PX = 256, 64
"""Sides of the network's input and of its heat maps."""

_MODULES, _DEPTH, _WIDTH, _STEM = 4, 4, 256, 64


class FAN(nn.Module):
    """Face crop to heat maps of 68 landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.conv2 = _Block(_STEM, 2 * _STEM)
        self.conv3 = _Block(2 * _STEM, 2 * _STEM)
        self.conv4 = _Block(2 * _STEM, _WIDTH)
        for number in range(_MODULES):
            self.add_module(f"m{number}", _Hourglass(_DEPTH, _WIDTH))
            self.add_module(f"top_m_{number}", _Block(_WIDTH, _WIDTH))
            self.add_module(f"conv_last{number}", nn.Conv2d(_WIDTH, _WIDTH, 1))
            self.add_module(f"bn_end{number}", nn.BatchNorm2d(_WIDTH))
            self.add_module(f"l{number}", nn.Conv2d(_WIDTH, SPARSE_LANDMARKS, 1))
            if number < _MODULES - 1:
                self.add_module(f"bl{number}", nn.Conv2d(_WIDTH, _WIDTH, 1))
                self.add_module(f"al{number}", nn.Conv2d(SPARSE_LANDMARKS, _WIDTH, 1))

    def forward(self, crop: Tensor) -> Tensor:
        """Find landmarks.

        Args:
            crop: B x 3 x 256 x 256 float32, RGB in [0, 1].

        Returns:
            B x 68 x 64 x 64 float32: the last hourglass' heat maps, about 1 at a landmark.
        """
        x = F.relu(self.bn1(self.conv1(crop)))
        x = F.avg_pool2d(self.conv2(x), 2)
        x = self.conv4(self.conv3(x))
        heat: Tensor = x
        for number in range(_MODULES):
            inner = self._layer(f"top_m_{number}", self._layer(f"m{number}", x))
            inner = F.relu(self._layer(f"bn_end{number}", self._layer(f"conv_last{number}", inner)))
            heat = self._layer(f"l{number}", inner)
            if number < _MODULES - 1:
                x = x + self._layer(f"bl{number}", inner) + self._layer(f"al{number}", heat)
        return heat

    def _layer(self, name: str, x: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(name)(x)
        return result


class _Block(nn.Module):
    """Three convolutions in a row whose outputs are joined, around a shortcut; norm and ReLU come first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = (inputs, outputs // 2, outputs // 4, outputs // 4)
        for number in range(1, 4):
            before, after = widths[number - 1], widths[number]
            self.add_module(f"bn{number}", nn.BatchNorm2d(before))
            self.add_module(f"conv{number}", nn.Conv2d(before, after, 3, padding=1, bias=False))
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        """B x inputs x h x w to B x outputs x h x w."""
        parts, inner = [], x
        for number in range(1, 4):
            norm, convolution = self.get_submodule(f"bn{number}"), self.get_submodule(f"conv{number}")
            inner = convolution(F.relu(norm(inner)))
            parts.append(inner)
        joined = torch.cat(parts, 1)
        return joined + (x if self.downsample is None else self.downsample(x))


class _Hourglass(nn.Module):
    """Features at their own size plus the same at half the size, down to 1/16."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self._depth = depth
        for level in range(depth, 0, -1):
            self.add_module(f"b1_{level}", _Block(width, width))
            self.add_module(f"b2_{level}", _Block(width, width))
            if level == 1:
                self.add_module("b2_plus_1", _Block(width, width))
            self.add_module(f"b3_{level}", _Block(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """B x width x h x w to the same shape; h and w are multiples of 16."""
        return self._level(self._depth, x)

    def _level(self, level: int, x: Tensor) -> Tensor:
        low = self.get_submodule(f"b2_{level}")(F.avg_pool2d(x, 2))
        low = self.get_submodule("b2_plus_1")(low) if level == 1 else self._level(level - 1, low)
        low = self.get_submodule(f"b3_{level}")(low)
        same: Tensor = self.get_submodule(f"b1_{level}")(x)
        return same + F.interpolate(low, scale_factor=2, mode="nearest")


def load_2dfan4(state: Mapping[str, Tensor], where: str | Path = "state dict") -> FAN:
    """The network with a state dict's weights, ready for evaluation.

    Raises:
        WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
    """
    net = FAN()
    # The published file is older than these counters, which only training reads.
    counters = {key: value for key, value in net.state_dict().items() if key.endswith(".num_batches_tracked")}
    return load_into(net, {**counters, **state}, where, "2DFAN-4")


def peaks(heat: Tensor) -> Tensor:
    """Places of the maxima of heat maps, to a fraction of their pixels.

    The maximum's neighbours say where between them it is: along each axis a Gaussian is laid through three values
    (F. Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation", CVPR 2020, taken along
    the axes). The authors' own code moves by a quarter of a pixel towards the higher neighbour instead.

    Args:
        heat: N x h x w.

    Returns:
        N x 2 float64, x and y in the heat maps' pixels.
    """
    count, height, width = heat.shape
    flat = heat.reshape(count, -1).argmax(1)
    y, x = torch.div(flat, width, rounding_mode="floor"), flat % width
    number = torch.arange(count, device=heat.device)
    values = heat.double()
    middle = values[number, y, x]
    places = []
    for axis, (place, size) in enumerate(((x, width), (y, height))):
        before, after = (place - 1).clamp(0, size - 1), (place + 1).clamp(0, size - 1)
        left = values[number, y, before] if axis == 0 else values[number, before, x]
        right = values[number, y, after] if axis == 0 else values[number, after, x]
        # Below a hundredth of the peak, and at the border, a neighbour tells nothing more.
        floor = (middle * 1e-2).clamp_min(1e-12)
        logs = [torch.log(torch.maximum(value, floor)) for value in (left, middle.clamp_min(1e-12), right)]
        bend = logs[0] - 2 * logs[1] + logs[2]
        step = torch.where(bend < -1e-9, 0.5 * (logs[0] - logs[2]) / bend.clamp_max(-1e-9), 0.0)
        inside = (place > 0) & (place < size - 1)
        places.append(place + torch.where(inside, step, 0.0).clamp(-0.5, 0.5))
    return torch.stack(places, 1)
