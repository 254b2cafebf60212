"""G_3D: works over the source's canonical volume, once per source (MegaPortraits, figure 2 and supplementary)."""

from __future__ import annotations

from torch import Tensor, nn

from avatarkit.nets.blocks import Head, ResBlock3D, down, up
from avatarkit.nets.presets import BaseConfig

__all__ = ["G3D"]

_PLANE, _SPACE = (1, 2, 2), (2, 2, 2)


class G3D(nn.Module):
    """A U-net over volumes, three levels deep; the first step down keeps the depth (choice)."""

    def __init__(self, config: BaseConfig) -> None:
        """Build it."""
        super().__init__()
        channels, style = config.local.channels, config.style
        wide, wider, widest = config.g3d_widths
        self.down1 = ResBlock3D(channels, wide, style)
        self.down2 = ResBlock3D(wide, wider, style)
        self.bottom = nn.Sequential(ResBlock3D(wider, widest, style), ResBlock3D(widest, widest, style))
        self.up2 = ResBlock3D(widest, wider, style)
        self.skip2 = ResBlock3D(wider, wider, style)
        self.up1 = ResBlock3D(wider, wide, style)
        self.skip1 = ResBlock3D(wide, wide, style)
        self.end = ResBlock3D(wide, channels, style)
        self.head = Head(3, channels, channels, 3, style)

    def forward(self, volume_BCDHW: Tensor) -> Tensor:
        """Return a volume of the same shape."""
        first = down(self.down1(volume_BCDHW), _PLANE)
        second = down(self.down2(first), _SPACE)
        x = up(self.up2(self.bottom(second)) + self.skip2(second), _SPACE)
        x = up(self.up1(x) + self.skip1(first), _PLANE)
        canonical: Tensor = self.head(self.end(x))
        return canonical
