"""G_enh: frames to twice their size (MegaPortraits, section 3.2 and supplementary)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.nets.blocks import Head, ResBlock2D, in_full, up
from avatarkit.systems.megaportraits.base import LocalAppearance, Projection
from avatarkit.systems.megaportraits.config import EnhancerConfig

__all__ = ["Enhancer"]


class Enhancer(nn.Module):
    """An encoder like E_app's local one on the enlarged frame, and a decoder back to that size.

    Attributes:
        config: its sizes.
    """

    def __init__(self, config: EnhancerConfig) -> None:
        """Build it with random weights; `build.build_enhancer` does so from a seed."""
        super().__init__()
        self.config = config
        local, style = config.local, config.style
        pools = len(config.up_widths)
        if pools > len(local.widths):
            raise UsageError(f"enhancer: {pools} enlargements after {len(local.widths)} poolings; give as many widths")
        self.encoder = LocalAppearance(local, pools, style)
        self.projection = Projection(local.channels, local.depth, config.width, style)
        self.blocks = nn.Sequential(*(ResBlock2D(config.width, config.width, style) for _ in range(config.blocks)))
        widths = (*config.up_widths, *config.tail_widths)
        self.rising = nn.ModuleList(
            ResBlock2D(before, after, style) for before, after in zip((config.width, *widths), widths, strict=False)
        )
        self.head = Head(2, widths[-1], 3, 3, style)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return frames B x 3 x 2H x 2W, RGB in [0, 1], of frames in [0, 1].

        The last layer's tanh, from -1 to 1, is taken to [0, 1].

        Raises:
            UsageError: sides that the poolings do not divide.
        """
        unit = (1 << len(self.config.up_widths)) // 2
        height, width = image_B3HW.shape[-2:]
        if height % unit or width % unit:
            raise UsageError(f"frame of {width} x {height} px: this enhancer takes sides that {unit} divides")
        x = self.blocks(self.projection(self.encoder(up(image_B3HW))))
        for index, block in enumerate(self.rising):
            x = block(up(x) if index < len(self.config.up_widths) else x)
        return (torch.tanh(in_full(self.head, x)) + 1) / 2
