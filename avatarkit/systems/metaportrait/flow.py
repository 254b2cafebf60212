"""E_w and F_w: from a source and two landmark pictures to where in the source each pixel looks.

| paper | class |
|---|---|
| E_w, motion code z_w | `MotionEncoder` |
| F_w, flow and occlusion | `FlowNet`, whose blocks are modulated by z_w |
| both | `Flow` |

Offsets are in pixels of the flow's own grid. For a map of another size they are enlarged, and only then added to that
map's own pixels, so that no flow leaves every map as it is (`warp`). The release enlarges positions instead, and reads
with another convention than it writes: pictures grow by 64/63.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.devices import full_precision
from avatarkit.nets.blocks import GroupNorm, down, in_full, up
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.systems.metaportrait.config import FlowConfig

__all__ = ["AdaIN", "Flow", "FlowNet", "MotionEncoder", "Moved", "initialise", "landmark_error", "warp"]

_INPUTS = 9
_PLAIN = Style(standardise=False, spectral=False)
_GAIN = 0.02


class Moved(NamedTuple):
    """A frame's flow: offsets (x, y), B x 2 x s x s in pixels of that grid, and occlusion, B x 1 x s x s in [0, 1]."""

    offset: Tensor
    occlusion: Tensor


class MotionEncoder(nn.Module):
    """E_w: both landmark pictures and the source to the motion code z_w, of length 1."""

    def __init__(self, config: FlowConfig) -> None:
        """Build it."""
        super().__init__()
        widths = config.motion_widths
        inputs = (_INPUTS, *widths[:-1])
        self.convs = nn.ModuleList(
            Conv2d(before, width, 3, config.style, stride=2) for before, width in zip(inputs, widths, strict=True)
        )
        side = config.size >> len(widths)
        self.code = nn.Linear(widths[-1] * side * side, config.code)

    def forward(self, seen_B9HW: Tensor) -> Tensor:
        """Return z_w, B x code."""
        x = seen_B9HW
        for conv in self.convs:
            x = F.leaky_relu(F.instance_norm(conv(x)), 0.2)
        code: Tensor = self.code(x.flatten(1))
        return F.normalize(code.float(), dim=1)


class AdaIN(nn.Module):
    """Instance norm with scale 1 + g and shift b, both made from a code."""

    def __init__(self, channels: int, code: int, hidden: int) -> None:
        """Take the channels, the code's length and the layer between."""
        super().__init__()
        self.first = nn.Linear(code, hidden)
        self.gain, self.shift = nn.Linear(hidden, channels), nn.Linear(hidden, channels)

    def forward(self, x: Tensor, code_BE: Tensor) -> Tensor:
        """Norm B x C x H x W under codes B x E."""
        known = F.relu(self.first(code_BE))
        gain, shift = (layer(known)[:, :, None, None].to(x.dtype) for layer in (self.gain, self.shift))
        modulated: Tensor = F.instance_norm(x) * (1 + gain) + shift
        return modulated


class _Modulated(nn.Module):
    """3x3 convolution, AdaIN, ReLU."""

    def __init__(self, inputs: int, outputs: int, config: FlowConfig) -> None:
        super().__init__()
        self.conv = Conv2d(inputs, outputs, 3, _PLAIN)
        self.norm = AdaIN(outputs, config.code, config.hidden)

    def forward(self, x: Tensor, code_BE: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x), code_BE))


class _Step(nn.Module):
    """Two modulated convolutions; going down, the map is halved between them."""

    def __init__(self, inputs: int, outputs: int, config: FlowConfig) -> None:
        super().__init__()
        self.first = _Modulated(inputs, outputs, config)
        self.second = _Modulated(outputs, outputs, config)

    def forward(self, x: Tensor, code_BE: Tensor, halve: bool) -> Tensor:
        x = self.first(x, code_BE)
        stepped: Tensor = self.second(down(x) if halve else x, code_BE)
        return stepped


class _FlowHead(nn.Module):
    """Layer norm, LeakyReLU and a 7x7 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = GroupNorm(1, inputs)
        self.conv = Conv2d(inputs, outputs, 7, _PLAIN, end=True, repeat_edges=True)

    def forward(self, x: Tensor) -> Tensor:
        return in_full(self.conv, F.leaky_relu(self.norm(x), 0.1))


class FlowNet(nn.Module):
    """F_w: a U-net down to an eighth or less and back to a quarter of the frame's size."""

    def __init__(self, config: FlowConfig) -> None:
        """Build it."""
        super().__init__()
        wide = config.down_widths
        self.down = nn.ModuleList(
            _Step(before, width, config) for before, width in zip((_INPUTS, *wide[:-1]), wide, strict=True)
        )
        self.up = nn.ModuleList()
        inputs = wide[-1]
        for width, skip in zip(config.up_widths, reversed(wide[:-1]), strict=False):
            self.up.append(_Step(inputs, width, config))
            inputs = width + skip
        self.offset, self.occlusion = _FlowHead(inputs, 2), _FlowHead(inputs, 1)

    def forward(self, seen_B9HW: Tensor, code_BE: Tensor) -> Moved:
        """Return offsets and occlusion of what `MotionEncoder` sees, and of its code."""
        x, skips = seen_B9HW, []
        for step in self.down:
            x = step(x, code_BE, True)
            skips.append(x)
        for level, step in enumerate(self.up):
            x = torch.cat([step(up(x), code_BE, False), skips[-2 - level]], dim=1)
        return Moved(self.offset(x), torch.sigmoid(self.occlusion(x)))


class Flow(nn.Module):
    """E_w and F_w together.

    Attributes:
        config: their sizes.
    """

    def __init__(self, config: FlowConfig) -> None:
        """Build both with random weights; `build.build_flow` does so from a seed."""
        super().__init__()
        self.config = config
        self.encoder, self.net = MotionEncoder(config), FlowNet(config)
        initialise(self.modules())

    def forward(self, source_B3HW: Tensor, source_lines: Tensor, driver_lines: Tensor) -> Moved:
        """Return how a source moves.

        Args:
            source_B3HW: RGB in [0, 1], of the configuration's size. source_lines, driver_lines: landmark pictures
                B x 3 x H x W in [0, 1], of source and driver.
        """
        seen = 2 * torch.cat([source_B3HW, source_lines, driver_lines], dim=1) - 1
        moved: Moved = self.net(seen, self.encoder(seen))
        return moved


def warp(x: Tensor, offset_B2ss: Tensor) -> Tensor:
    """A map B x C x H x H whose every pixel shows what stood at that pixel plus the offset.

    Args:
        offset_B2ss: (x, y) in pixels of its own grid, which covers the same square. Beyond the edges the map is
            mirrored.
    """
    size, side = x.shape[-1], offset_B2ss.shape[-1]
    with full_precision(x.device):
        offset = offset_B2ss.float() * (size / side)
        if size > side:
            offset = F.interpolate(offset, size=(size, size), mode="bilinear", align_corners=False)
        elif size < side:
            offset = F.adaptive_avg_pool2d(offset, size)
        steps = torch.arange(size, device=x.device, dtype=torch.float32)
        place = torch.stack(torch.meshgrid(steps, steps, indexing="xy"))
        grid = ((2 * (place + offset) + 1) / size - 1).permute(0, 2, 3, 1)
        read = F.grid_sample(x.float(), grid, padding_mode="reflection", align_corners=False)
    return read.to(x.dtype)


def landmark_error(offset_B2ss: Tensor, source_points: Tensor, driver_points: Tensor, size: int) -> Tensor:
    """How far from the source's landmarks the driver's look into the source: mean absolute, as a share of the side.

    Args:
        offset_B2ss: as `warp`. source_points, driver_points: B x N x 2 or 3, pixels of pictures of that size.

    Returns:
        A scalar, with gradients to the offsets alone.
    """
    side = offset_B2ss.shape[-1]
    with full_precision(offset_B2ss.device):
        source, driver = source_points[..., :2].detach().float(), driver_points[..., :2].detach().float()
        grid = ((2 * driver + 1) / size - 1)[:, :, None]
        offset = F.grid_sample(offset_B2ss.float(), grid, padding_mode="border", align_corners=False)[..., 0]
        return (offset.mT / side - (source - driver) / size).abs().mean()


@torch.no_grad()
def initialise(modules: Iterable[nn.Module]) -> None:
    """The release's first weights for convolutions and linear layers: Xavier's with a gain of 0.02, biases 0.

    Layers that start at a certain function set that afterwards.
    """
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, _GAIN)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
