"""E_app: what a source looks like, as a volume and as one vector (MegaPortraits, figure 2 and supplementary)."""

from __future__ import annotations

from torch import Tensor, nn

from avatarkit.nets.blocks import Head, ResBlock2D, ResBlock3D, down
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.nets.presets import BaseConfig, LocalConfig
from avatarkit.nets.resnet import CodeHead, ResNet
from avatarkit.nets.sizes import doublings

__all__ = ["AppearanceEncoder", "GlobalAppearance", "LocalAppearance"]


class LocalAppearance(nn.Module):
    """Picture to volume: blocks in the plane, channels folded into depth, blocks in space."""

    def __init__(self, config: LocalConfig, pools: int, style: Style) -> None:
        """Build it.

        Args:
            config: sizes. pools: halvings of the picture. style: of the blocks.
        """
        super().__init__()
        self.pools, self.depth = pools, config.depth
        self.stem = Conv2d(3, config.stem, 7, style, end=True)
        inputs = (config.stem, *config.widths[:-1])
        self.blocks = nn.ModuleList(
            ResBlock2D(before, width, style) for before, width in zip(inputs, config.widths, strict=True)
        )
        self.lift = Head(2, config.widths[-1], config.channels * config.depth, 1, style, end=False)
        self.volume = nn.Sequential(
            *(ResBlock3D(config.channels, config.channels, style) for _ in range(config.blocks))
        )

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return B x C x D x h x w, in the picture's own coordinates, of RGB in [0, 1]."""
        x: Tensor = self.stem(2 * image_B3HW - 1)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index < self.pools:
                x = down(x)
        lifted: Tensor = self.volume(self.lift(x).unflatten(1, (-1, self.depth)))
        return lifted


class GlobalAppearance(nn.Module):
    """Picture to the descriptor e_s: a ResNet-50 of our blocks in the published presets."""

    def __init__(self, config: BaseConfig) -> None:
        """Build it."""
        super().__init__()
        self.net = ResNet(config.global_net, config.style)
        self.head = CodeHead(config.global_net.outputs, config.code, config.style)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return B x E of RGB in [0, 1]."""
        code: Tensor = self.head(self.net(image_B3HW))
        return code


class AppearanceEncoder(nn.Module):
    """E_app: the local and the global encoder."""

    def __init__(self, config: BaseConfig) -> None:
        """Build both."""
        super().__init__()
        self.local = LocalAppearance(config.local, doublings(config.side, config.size), config.style)
        self.overall = GlobalAppearance(config)

    def forward(self, image_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the volume v_s, B x C x D x h x w, and the descriptor e_s, B x E, of RGB in [0, 1]."""
        return self.local(image_B3HW), self.overall(image_B3HW)
