"""W: codes to a field of expression offsets (MegaPortraits, figure 2 and supplementary)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.nets.blocks import AdaptiveResBlock3D, group_norm, up
from avatarkit.nets.convs import Conv3d
from avatarkit.nets.presets import BaseConfig
from avatarkit.nets.sizes import doublings

__all__ = ["WarpGenerator"]

_START_SIDE = 4
_FIRST_OFFSET = 0.02
"""Size of the offsets before training, of half a volume (choice): the head's motion alone is a good beginning."""


class WarpGenerator(nn.Module):
    """z + e to offsets in canonical coordinates, for the source or the driver.

    The code becomes channels and depth, the same at each place of a 4 x 4 plane; a learned constant tells the places
    apart (choice), which zero padding alone would do slowly.
    """

    def __init__(self, config: BaseConfig) -> None:
        """Build it."""
        super().__init__()
        style, self.depth = config.style, config.warp_depth
        self.start = nn.Linear(config.code, config.warp_start * config.warp_depth)
        self.place = nn.Parameter(torch.randn(config.warp_start, config.warp_depth, _START_SIDE, _START_SIDE))
        inputs = (config.warp_start, *config.warp_widths[:-1])
        self.blocks = nn.ModuleList(
            AdaptiveResBlock3D(before, width, config.code, style)
            for before, width in zip(inputs, config.warp_widths, strict=True)
        )
        deeper = doublings(config.warp_depth, config.local.depth)
        doublings(_START_SIDE << len(config.warp_widths), config.side)
        self.factors = [(2 if index < deeper else 1, 2, 2) for index in range(len(config.warp_widths))]
        self.norm = group_norm(config.warp_widths[-1], style)
        # Spectral normalisation would fix the size of the offsets, which must begin small.
        self.last = Conv3d(config.warp_widths[-1], 3, 3, replace(style, spectral=False), end=True)
        fan_in = self.last.weight[0].numel()
        nn.init.normal_(self.last.weight, std=_FIRST_OFFSET * (2 / fan_in) ** 0.5)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, code_BE: Tensor) -> Tensor:
        """Return offsets (x, y, z), B x 3 x D x H x W in [-1, 1] canonical units, of z + e."""
        x = self.start(code_BE).view(len(code_BE), -1, self.depth, 1, 1) + self.place
        for block, factors in zip(self.blocks, self.factors, strict=True):
            x = up(block(x, code_BE), factors)
        offset: Tensor = torch.tanh(self.last(F.relu(self.norm(x), inplace=True)))
        return offset
