"""P and G_2D: the driver's volume to a picture (MegaPortraits, figure 2 and supplementary)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatarkit.nets.blocks import Head, ResBlock2D, up
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.nets.presets import BaseConfig
from avatarkit.nets.sizes import doublings

__all__ = ["G2D", "Projection"]


class Projection(nn.Module):
    """P: depth folded into channels, and a 1 x 1 convolution."""

    def __init__(self, channels: int, depth: int, outputs: int, style: Style) -> None:
        """Take the volume's channels and depth, and the channels that go out."""
        super().__init__()
        self.conv = Conv2d(channels * depth, outputs, 1, style, end=True)

    def forward(self, volume_BCDHW: Tensor) -> Tensor:
        """Return B x outputs x H x W."""
        flat: Tensor = self.conv(volume_BCDHW.flatten(1, 2))
        return flat


class G2D(nn.Module):
    """Blocks at the volume's size, then enlargements up to the frame's."""

    def __init__(self, config: BaseConfig) -> None:
        """Build it."""
        super().__init__()
        style, width = config.style, config.projection
        self.ups = doublings(config.side, config.size)
        self.blocks = nn.Sequential(*(ResBlock2D(width, width, style) for _ in range(config.g2d_blocks)))
        inputs = (width, *config.g2d_widths[:-1])
        self.rising = nn.ModuleList(
            ResBlock2D(before, after, style) for before, after in zip(inputs, config.g2d_widths, strict=True)
        )
        self.head = Head(2, config.g2d_widths[-1], 3, 3, style)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return frames B x 3 x S x S, RGB in [0, 1]."""
        x = self.blocks(x_BCHW)
        for index, block in enumerate(self.rising):
            x = block(up(x) if index < self.ups else x)
        return torch.sigmoid(self.head(x))
