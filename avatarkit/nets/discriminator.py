"""Multi-scale patch discriminators.

T.-C. Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018, with
spectral normalisation in place of instance norms (choice).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.nets.convs import Conv2d, Style

__all__ = ["Discriminator", "DiscriminatorConfig", "PatchDiscriminator"]

_KERNEL, _SLOPE = 4, 0.2


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A multi-scale patch discriminator.

    scales: pictures that it sees, each half the size of the one before. widths: of the convolutions before the last;
    all but the last of them halve the map.
    """

    scales: int = 3
    widths: tuple[int, ...] = (64, 128, 256, 512)
    spectral: bool = True


class PatchDiscriminator(nn.Module):
    """Judges each patch of a picture at one scale."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Build it."""
        super().__init__()
        style = Style(standardise=False, spectral=config.spectral)
        inputs, last = (3, *config.widths[:-1]), len(config.widths) - 1
        self.convs = nn.ModuleList(
            Conv2d(before, width, _KERNEL, style, stride=1 if index == last else 2)
            for index, (before, width) in enumerate(zip(inputs, config.widths, strict=True))
        )
        self.judge = Conv2d(config.widths[-1], 1, _KERNEL, style)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits B x 1 x h x w, and the feature maps on the way."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            features.append(x)
        return self.judge(x), features


class Discriminator(nn.Module):
    """Patch discriminators on the picture and on halves of its size.

    Attributes:
        config: its sizes.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        """Build it with random weights; `build.build_discriminator` does so from a seed."""
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.scales))

    def forward(self, image_B3HW: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Return for each scale logits and feature maps, the full size first, of RGB in [0, 1]."""
        x, judged = 2 * image_B3HW - 1, []
        for index, scale in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(scale(x))
        return judged
