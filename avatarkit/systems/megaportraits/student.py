"""G_DT: draws a fixed list of avatars, fast (MegaPortraits, section 3.3 and supplementary)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.devices import full_precision
from avatarkit.errors import UsageError
from avatarkit.nets.blocks import in_full, up
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.nets.resnet import ResNet
from avatarkit.nets.sizes import doublings
from avatarkit.systems.megaportraits.config import StudentConfig

__all__ = ["EnlargingConv2d", "Modulation", "Spade", "Student", "StudentBlock"]

Modulation = tuple[Tensor, Tensor]
"""Scale and shift of a feature map, B x C x h x w each."""


def instance_norm(x: Tensor) -> Tensor:
    """Each map B x C x h x w with mean 0 and variance 1.

    Torch's instance norm copies maps whose channels lie together (`channels_last`) into another layout, and the
    convolution after it back again; its group norm takes them as they are.
    """
    if x.is_contiguous():
        return F.instance_norm(x)
    with full_precision(x.device):
        return F.group_norm(x, x.shape[1])


class Spade(nn.Module):
    """Instance norm, then scale and shift that vary over the picture and follow from the avatar alone.

    T. Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019; in place of a map of
    labels there is a learned identity tensor for each avatar.
    """

    def __init__(self, avatars: int, channels: int, side: int, identity_side: int, style: Style) -> None:
        """Take the number of avatars, the map's channels and side, and the largest side of an identity tensor."""
        super().__init__()
        self.side = side
        stored = min(side, identity_side)
        self.identity = nn.Parameter(torch.randn(avatars, channels, stored, stored))
        self.scale = Conv2d(channels, channels, 3, style, end=True)
        self.shift = Conv2d(channels, channels, 3, style, end=True)

    def modulation(self, avatar_B: Tensor) -> Modulation:
        """Scale and shift for avatars."""
        identity = self.identity[avatar_B]
        if identity.shape[-1] != self.side:
            identity = F.interpolate(identity, size=(self.side, self.side), mode="bilinear", align_corners=False)
        return 1 + self.scale(identity), self.shift(identity)

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Norm and modulate B x C x h x w."""
        return torch.addcmul(modulation[1], instance_norm(x), modulation[0])


class EnlargingConv2d(Conv2d):
    """Convolves the map with its pixels repeated, twice as high and wide."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve B x C x h x w."""
        return super().forward(up(input))


class StudentBlock(nn.Module):
    """Enlargement, twice 3x3 convolution and SPADE, plus a skip, ReLU."""

    def __init__(self, inputs: int, outputs: int, spades: tuple[Spade, Spade], enlarge: bool, style: Style) -> None:
        """Take channels, both norms, and whether it enlarges."""
        super().__init__()
        self.enlarge = enlarge
        self.conv1: nn.Module = (EnlargingConv2d if enlarge else Conv2d)(inputs, outputs, 3, style)
        self.conv2: nn.Module = Conv2d(outputs, outputs, 3, style)
        self.spade1: nn.Module = spades[0]
        self.spade2 = spades[1]
        self.skip = Conv2d(inputs, outputs, 1, style)

    def modulations(self, avatar_B: Tensor) -> tuple[Modulation, Modulation]:
        """Of both norms."""
        assert isinstance(self.spade1, Spade)
        return self.spade1.modulation(avatar_B), self.spade2.modulation(avatar_B)

    def forward(self, x: Tensor, modulations: tuple[Modulation, Modulation]) -> Tensor:
        """Run it with the modulations of its avatars."""
        skipped = self.skip(x)
        if self.enlarge:
            # Repeated pixels and a 1 x 1 convolution change places: a quarter of the work.
            skipped = up(skipped)
        y = F.relu(self.spade1(self.conv1(x), modulations[0]), inplace=True)
        y = self.spade2(self.conv2(y), modulations[1])
        return F.relu(y + skipped, inplace=True)


class Student(nn.Module):
    """The encoder of the driver's frame, and blocks whose norms know the avatar.

    Attributes:
        config: its sizes. avatars: how many it draws.
    """

    def __init__(self, config: StudentConfig, avatars: int) -> None:
        """Build it with random weights; `build.build_student` does so from a seed.

        Raises:
            UsageError: no avatar, or too few blocks to reach the frame's size.
        """
        super().__init__()
        if avatars < 1:
            raise UsageError(f"student of {avatars} avatars: give at least one")
        self.config, self.avatars = config, avatars
        style, stride = config.style, config.encoder.stride
        rests = len(config.widths) - doublings(1, stride)
        if rests < 0 or config.size % stride:
            raise UsageError(f"student: {len(config.widths)} blocks cannot draw {config.size} px from 1/{stride} of it")
        self.encoder = ResNet(config.encoder, style)
        self.blocks = nn.ModuleList()
        inputs, side = config.encoder.outputs, config.size // stride
        for index, width in enumerate(config.widths):
            side *= 1 if index < rests else 2
            first, second = (Spade(avatars, width, side, config.identity_side, style) for _ in range(2))
            self.blocks.append(StudentBlock(inputs, width, (first, second), index >= rests, style))
            inputs = width
        self.last: nn.Module = Conv2d(inputs, 3, 3, style, end=True)

    def modulations(self, avatar_B: Tensor) -> list[tuple[Modulation, Modulation]]:
        """What the avatar decides, and no driver: compute it once to draw many frames.

        Args:
            avatar_B: int64, below `avatars`.
        """
        result = []
        for block in self.blocks:
            assert isinstance(block, StudentBlock)
            result.append(block.modulations(avatar_B))
        return result

    def draw(self, driver_B3HW: Tensor, modulations: list[tuple[Modulation, Modulation]]) -> Tensor:
        """Frames B x 3 x S x S, RGB in [0, 1], of drivers in [0, 1] and their avatars' modulations.

        Raises:
            UsageError: drivers of another size.
        """
        size = self.config.size
        height, width = driver_B3HW.shape[-2:]
        if (height, width) != (size, size):
            raise UsageError(f"driver of {width} x {height} px: this student takes {size} x {size}; resize it first")
        x = self.encoder(driver_B3HW)
        for block, modulation in zip(self.blocks, modulations, strict=True):
            x = block(x, modulation)
        return torch.sigmoid(in_full(self.last, F.relu(instance_norm(x), inplace=True)))

    def forward(self, driver_B3HW: Tensor, avatar_B: Tensor) -> Tensor:
        """Frames of avatars (int64) that move like drivers; see `modulations` and `draw`."""
        return self.draw(driver_B3HW, self.modulations(avatar_B))
