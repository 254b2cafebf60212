"""The enhancer: frames to twice their size, each alone, or with windows over its neighbours in time.

The published one is GFPGAN with a frozen StyleGAN2; ours is a U-net without that prior, for its weights are not free.
The windows are the release's: after every step down and up, the maps of frames t - 1, t and t + 1 give what is added to
that of frame t. Their last convolution starts at zero, so that training begins at the per-frame net.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.nets.blocks import in_full
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.systems.metaportrait.config import EnhancerConfig

__all__ = ["Enhancer", "Window", "enhance_clip"]

_PLAIN = Style(standardise=False, spectral=False)


class _Step(nn.Module):
    """A residual block that halves or doubles the map: 3x3, resize, 3x3, beside a 1x1; LeakyReLUs between."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv2d(inputs, inputs, 3, _PLAIN), Conv2d(inputs, outputs, 3, _PLAIN)
        self.skip = Conv2d(inputs, outputs, 1, _PLAIN)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        y = self._resized(F.leaky_relu(self.conv1(x), 0.2))
        stepped: Tensor = F.leaky_relu(self.conv2(y), 0.2) + self.skip(self._resized(x))
        return stepped

    def _resized(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class Window(nn.Module):
    """What a frame's map takes from those of its neighbours; at both ends the edge frame stands for what is missing."""

    def __init__(self, channels: int) -> None:
        """Take the maps' channels."""
        super().__init__()
        self.joined = Conv2d(3 * channels, 3 * channels, 3, _PLAIN)
        self.added = Conv2d(3 * channels, channels, 3, _PLAIN)
        nn.init.zeros_(self.added.weight)
        assert self.added.bias is not None
        nn.init.zeros_(self.added.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Return the maps (B * T) x C x h x w with their neighbours'; `frames` is T."""
        clip = x.view(-1, frames, *x.shape[1:])
        before = torch.cat([clip[:, :1], clip[:, :-1]], dim=1)
        after = torch.cat([clip[:, 1:], clip[:, -1:]], dim=1)
        three = torch.cat([before, clip, after], dim=2).flatten(0, 1)
        seen: Tensor = x + self.added(F.leaky_relu(self.joined(three), 0.2))
        return seen


class Enhancer(nn.Module):
    """Frames B x T x 3 x S x S to B x T x 3 x 2S x 2S.

    Attributes:
        config: its sizes.
    """

    def __init__(self, config: EnhancerConfig) -> None:
        """Build it; it starts near the plain enlargement."""
        super().__init__()
        self.config = config
        widths = (config.stem, *config.widths)
        self.stem = Conv2d(3, config.stem, 1, _PLAIN)
        self.down = nn.ModuleList(_Step(before, after, 0.5) for before, after in pairwise(widths))
        self.bottom = Conv2d(widths[-1], widths[-1], 3, _PLAIN)
        rising = tuple(reversed(widths))
        self.up = nn.ModuleList(_Step(before, after, 2.0) for before, after in pairwise(rising))
        self.last = Conv2d(config.stem, 3, 3, _PLAIN, repeat_edges=True)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
        self.windows = nn.ModuleList()
        if config.windows:
            self.windows.extend(Window(width) for width in (*config.widths, *rising[1:]))

    @property
    def reach(self) -> int:
        """How many frames to either side a frame depends on."""
        return len(self.windows)

    def forward(self, clip_BT3HW: Tensor) -> Tensor:
        """Return clips of twice the size, RGB in [0, 1].

        Raises:
            UsageError: frames of another size.
        """
        size, frames = self.config.size, clip_BT3HW.shape[1]
        if clip_BT3HW.shape[-2:] != (size, size):
            raise UsageError(f"frames of {clip_BT3HW.shape[-1]} px: this enhancer takes {size}")
        plain = F.interpolate(clip_BT3HW.flatten(0, 1), scale_factor=2.0, mode="bilinear", align_corners=False)
        x, maps = self.stem(2 * plain - 1), []
        for number, step in enumerate(self.down):
            x = self._seen(step(x), number, frames)
            maps.append(x)
        x = F.leaky_relu(self.bottom(x), 0.2)
        for number, step in enumerate(self.up):
            x = self._seen(step(x + maps[-1 - number]), len(self.down) + number, frames)
        drawn = plain + in_full(self.last, F.leaky_relu(x, 0.2))
        return drawn.view(-1, frames, *drawn.shape[1:])

    def _seen(self, x: Tensor, number: int, frames: int) -> Tensor:
        seen: Tensor = self.windows[number](x, frames) if self.windows else x
        return seen


def enhance_clip(net: Enhancer, clip_T3HW: Tensor, chunk: int, overlap: int | None = None) -> Tensor:
    """A clip of any length, T x 3 x S x S, in chunks of so many frames: T x 3 x 2S x 2S, as in one pass.

    Args:
        overlap: frames on either side of a chunk that are enhanced along and thrown away; the net's reach by default.
    """
    around, total, done = net.reach if overlap is None else overlap, len(clip_T3HW), []
    for first in range(0, total, chunk):
        start, stop = max(0, first - around), min(total, first + chunk + around)
        drawn = net(clip_T3HW[None, start:stop])[0]
        done.append(drawn[first - start : first - start + chunk])
    return torch.cat(done)
