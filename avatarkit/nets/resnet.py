"""ResNets built from the residual blocks of this package.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with the norms, convolutions and order of
MegaPortraits' blocks. A stage begins with an average pooling in place of a strided convolution, as elsewhere here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.nets.blocks import Bottleneck2D, ResBlock2D, down, group_norm
from avatarkit.nets.convs import Conv2d, Style

__all__ = ["CodeHead", "ResNet", "ResNetConfig"]

MOST_STAGES = 8


@dataclass(frozen=True)
class ResNetConfig:
    """Size of a ResNet; the defaults are ResNet-18's.

    width: channels of the first stage; they double from stage to stage.
    blocks: of each stage.
    bottleneck: ResNet-50's block, with four times the width going out.
    stem_pool: halve the map after the first convolution, for pictures of 128 px and more.
    """

    width: int = 64
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    stem_pool: bool = True

    def __post_init__(self) -> None:
        if self.width < 1 or not 1 <= len(self.blocks) <= MOST_STAGES:
            raise UsageError(f"ResNet of {len(self.blocks)} stages, width {self.width}: use 1 to {MOST_STAGES} stages")

    @property
    def outputs(self) -> int:
        """Channels of the last feature map."""
        last = self.width << (len(self.blocks) - 1)
        return last * Bottleneck2D.expansion if self.bottleneck else last

    @property
    def stride(self) -> int:
        """Side of the picture over that of the last feature map."""
        return (4 if self.stem_pool else 2) << (len(self.blocks) - 1)


class ResNet(nn.Module):
    """Pictures B x 3 x H x W to feature maps; colours in [0, 1] are taken to [-1, 1]."""

    def __init__(self, config: ResNetConfig, style: Style) -> None:
        """Build it with random weights."""
        super().__init__()
        self.stem_pool = config.stem_pool
        self.stem = Conv2d(3, config.width, 7, style, stride=2, end=True)
        self.stages = nn.ModuleList()
        inputs = config.width
        for stage, count in enumerate(config.blocks):
            width, blocks = config.width << stage, nn.Sequential()
            for _ in range(count):
                blocks.append((Bottleneck2D if config.bottleneck else ResBlock2D)(inputs, width, style))
                inputs = width * (Bottleneck2D.expansion if config.bottleneck else 1)
            self.stages.append(blocks)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return the last feature map."""
        x: Tensor = self.stem(2 * image_B3HW - 1)
        if self.stem_pool:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for index, stage in enumerate(self.stages):
            x = stage(down(x) if index else x)
        return x


class CodeHead(nn.Module):
    """Feature map to code: norm, ReLU, mean over the map, linear layer."""

    def __init__(self, inputs: int, code: int, style: Style) -> None:
        """Take the map's channels and the code's length."""
        super().__init__()
        self.norm = group_norm(inputs, style)
        self.linear = nn.Linear(inputs, code)

    def forward(self, x: Tensor) -> Tensor:
        """Return B x E."""
        code: Tensor = self.linear(F.relu(self.norm(x)).mean(dim=(2, 3)))
        return code
