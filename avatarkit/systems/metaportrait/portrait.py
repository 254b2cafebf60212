"""Source encoder and generator: the warped source, and what the identity vector knows, to a picture.

| paper | class |
|---|---|
| adaptive fusion of identity and motion | `FusedNorm` |
| refinement network | `Generator` |
| all of it | `Portrait`: what depends on the source alone is in `encode_source`; `drive` does the rest for each frame |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.face.landmarks import IRIS_RIMS
from avatarkit.head.regions import mouth_mask
from avatarkit.nets.blocks import down, in_full, up
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.nets.identity import Identity
from avatarkit.nets.sizes import doublings
from avatarkit.systems.metaportrait.config import PortraitConfig
from avatarkit.systems.metaportrait.flow import Flow, Moved, initialise, warp

__all__ = [
    "Driven", "FusedNorm", "Generator", "KnownIdentity", "Portrait", "SourceCode", "SourceEncoder", "conditions",
]  # fmt: skip

_START = 4
_CONDITIONS = 17
"""Gaze maps 8, both landmark pictures 6, the mouth's lines 3; the occlusion comes on top."""
_GAZE_VARIANCE = 0.005
_PLAIN = Style(standardise=False, spectral=False)


class _Encoded(nn.Module):
    """3x3 convolution, instance norm with scale and shift, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv2d(inputs, outputs, 3, _PLAIN)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class SourceEncoder(nn.Module):
    """The source to maps of several sizes, all in the picture's own coordinates."""

    def __init__(self, config: PortraitConfig) -> None:
        """Build it."""
        super().__init__()
        wide = config.source_widths
        self.down = nn.ModuleList(
            _Encoded(before, width) for before, width in zip((3, *wide[:-1]), wide, strict=True)
        )
        outputs = (*reversed(wide[:-1]), config.full_width)
        inputs = (wide[-1], *(2 * width for width in outputs[:-1]))
        self.up = nn.ModuleList(_Encoded(before, width) for before, width in zip(inputs, outputs, strict=True))
        self.full = Conv2d(config.full_width + 3, config.full_width, 3, _PLAIN)
        self.widths = (wide[-1], *outputs)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Return the maps, B x C x h x h, the smallest first and the last at full size, of RGB in [0, 1]."""
        x = picture = 2 * image_B3HW - 1
        skips = []
        for block in self.down:
            x = down(block(x))
            skips.append(x)
        maps = [x]
        for level, block in enumerate(self.up):
            x = block(up(x))
            if level + 1 < len(self.up):
                maps.append(x)
                x = torch.cat([x, skips[-2 - level]], dim=1)
        return [*maps, self.full(torch.cat([x, picture], dim=1))]


class FusedNorm(nn.Module):
    """Instance norm scaled and shifted twice: by the identity vector, and by the warped source; a mask mixes both."""

    def __init__(self, channels: int, side: int, code: int, hidden: int, style: Style) -> None:
        """Take the channels that it norms, those of the side maps, the identity vector's length and the inner width."""
        super().__init__()
        self.identity = nn.Linear(code, 2 * channels)
        self.shared = Conv2d(side, hidden, 3, style)
        self.gain, self.shift = Conv2d(hidden, channels, 3, style), Conv2d(hidden, channels, 3, style)
        self.mask = Conv2d(channels, 1, 3, style)

    @torch.no_grad()
    def start(self) -> None:
        """The identity branch begins at scale 1 and shift 0; the release's own first weights undo that."""
        nn.init.normal_(self.identity.weight, std=math.sqrt(2 / self.identity.in_features))
        channels = self.identity.out_features // 2
        self.identity.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))

    def forward(self, x: Tensor, side: Tensor, z_id: Tensor) -> Tensor:
        """Norm B x C x h x h beside side maps B x side x h x h, under identity vectors B x code."""
        normed = F.instance_norm(x)
        scale, offset = self.identity(z_id)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        known = F.relu(self.shared(side))
        by_motion = normed * (1 + self.gain(known)) + self.shift(known)
        mask = torch.sigmoid(self.mask(x))
        fused: Tensor = mask * by_motion + (1 - mask) * (normed * scale + offset)
        return fused


class _Block(nn.Module):
    """Twice fused norm, LeakyReLU and 3x3 convolution, plus a skip that is normed where its channels change."""

    def __init__(self, inputs: int, outputs: int, side: int, config: PortraitConfig) -> None:
        super().__init__()
        code, hidden, style = config.identity.code, config.hidden, config.style
        middle = min(inputs, outputs)
        self.norm1 = FusedNorm(inputs, side, code, hidden, style)
        self.conv1 = Conv2d(inputs, middle, 3, style)
        self.norm2 = FusedNorm(middle, side, code, hidden, style)
        self.conv2 = Conv2d(middle, outputs, 3, style)
        self.changes = inputs != outputs
        if self.changes:
            self.norm_skip = FusedNorm(inputs, side, code, hidden, style)
            self.skip = Conv2d(inputs, outputs, 1, style)
            self.skip.bias = None

    def forward(self, x: Tensor, side: Tensor, z_id: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x, side, z_id), 0.2))
        y = self.conv2(F.leaky_relu(self.norm2(y, side, z_id), 0.2))
        drawn: Tensor = y + (self.skip(self.norm_skip(x, side, z_id)) if self.changes else x)
        return drawn


class Generator(nn.Module):
    """From the identity vector, over maps that grow from 4 pixels, to a picture and its matte."""

    def __init__(self, config: PortraitConfig, maps: Sequence[int]) -> None:
        """Take the channels of the source encoder's maps, the smallest map first."""
        super().__init__()
        sides = [channels + _CONDITIONS + 1 for channels in maps]
        self.first = Conv2d(config.identity.code, config.width * _START**2, 1, config.style)
        before = doublings(_START, config.size >> len(config.source_widths))
        widths = (config.width,) * before + config.up_widths
        # Blocks before the smallest map's size see that map, made smaller.
        self.sees = (0,) * before + tuple(range(len(maps)))
        self.blocks = nn.ModuleList(
            _Block(inputs, outputs, sides[seen], config)
            for inputs, outputs, seen in zip((config.width, *widths[:-1]), widths, self.sees, strict=True)
        )
        self.last = Conv2d(widths[-1], 4, 3, config.style, repeat_edges=True)

    def forward(self, z_id: Tensor, sides: Sequence[Tensor]) -> Tensor:
        """Return RGB and matte, B x 4 x S x S in [0, 1], of identity vectors and the side maps of each size."""
        x: Tensor = self.first(z_id[:, :, None, None])
        x = x.view(len(z_id), -1, _START, _START)
        for number, (block, seen) in enumerate(zip(self.blocks, self.sees, strict=True)):
            if number:
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(x, F.adaptive_avg_pool2d(sides[seen], x.shape[-1]), z_id)
        return torch.sigmoid(in_full(self.last, F.leaky_relu(x, 0.2)))


class SourceCode(NamedTuple):
    """What the drivers of a source share: picture, landmark picture (B x 3 x S x S), identity vector, maps."""

    image: Tensor
    lines: Tensor
    z_id: Tensor
    maps: list[Tensor]

    def for_each(self, drivers: int) -> SourceCode:
        """The code of each source so many times over, one behind the other."""
        image, lines, z_id, *maps = (
            value.repeat_interleave(drivers, 0) for value in (self.image, self.lines, self.z_id, *self.maps)
        )
        return SourceCode(image, lines, z_id, maps)


class Driven(NamedTuple):
    """A driven frame: RGB B x 3 x S x S and matte B x 1 x S x S in [0, 1]; the source warped alone; its flow."""

    image: Tensor
    matte: Tensor
    warped: Tensor
    moved: Moved


class KnownIdentity(nn.Module):
    """In a recogniser's place where a portrait draws one person alone: that person's identity vector."""

    z_id: Tensor

    def __init__(self, z_id: Tensor) -> None:
        """Take the vector, 1 x code."""
        super().__init__()
        self.register_buffer("z_id", z_id)

    def forward(self, image_B3HW: Tensor, landmarks: Tensor) -> Tensor:
        """Return it for each picture, B x code."""
        return self.z_id.expand(len(image_B3HW), -1)


class Portrait(nn.Module):
    """All networks of a frame.

    Attributes:
        config: their sizes. identity: the recogniser, frozen, or what stands for it.
    """

    def __init__(self, config: PortraitConfig, known: KnownIdentity | None = None) -> None:
        """Build them with random weights; `build.build_portrait` does so from a seed.

        Args:
            known: in the recogniser's place, which is then not built.
        """
        super().__init__()
        self.config = config
        self.flow = Flow(config.flow)
        self.source_encoder = SourceEncoder(config)
        self.generator = Generator(config, self.source_encoder.widths)
        drawn = [self.source_encoder, self.generator]
        initialise(module for part in drawn for module in part.modules())
        for module in self.generator.modules():
            if isinstance(module, FusedNorm):
                module.start()
        self.identity: nn.Module = (known or Identity(config.identity)).eval().requires_grad_(False)

    def encode_source(
        self, image_B3HW: Tensor, lines_B3HW: Tensor, landmarks: Tensor, z_id: Tensor | None = None
    ) -> SourceCode:
        """Do what depends on the source alone.

        Args:
            image_B3HW: RGB in [0, 1]. lines_B3HW: its landmark picture in [0, 1]. landmarks: B x 478 x 2 or 3, pixels
                of it. z_id: in place of its own identity vector.

        Raises:
            UsageError: pictures of another size.
        """
        size = self.config.size
        for picture, name in ((image_B3HW, "source"), (lines_B3HW, "landmark picture")):
            if picture.shape[-2:] != (size, size):
                raise UsageError(f"{name} of {picture.shape[-1]} x {picture.shape[-2]} px: this portrait takes {size}")
        if z_id is None:
            with torch.no_grad():
                z_id = self.identity(image_B3HW, landmarks)
        return SourceCode(image_B3HW, lines_B3HW, z_id, self.source_encoder(image_B3HW))

    def drive(self, source: SourceCode, lines_B3HW: Tensor, landmarks: Tensor) -> Driven:
        """Draw sources with the landmarks of drivers, one driver each.

        Args:
            lines_B3HW: landmark picture of the frame to be drawn, in [0, 1]. landmarks: B x 478 x 2 or 3, pixels of it.
        """
        moved: Moved = self.flow(source.image, source.lines, lines_B3HW)
        size = self.config.size
        occlusion = F.interpolate(moved.occlusion, size=(size, size), mode="bilinear", align_corners=False)
        known = torch.cat([occlusion, conditions(source.lines, lines_B3HW, landmarks)], dim=1)
        sides = []
        for features in source.maps:
            warped = warp(features, moved.offset)
            # Each size from the full one, by areas: lines of a pixel would be lost between samples.
            sides.append(torch.cat([warped, F.adaptive_avg_pool2d(known, warped.shape[-1]).to(warped.dtype)], dim=1))
        drawn = self.generator(source.z_id, sides)
        return Driven(drawn[:, :3], drawn[:, 3:], warp(source.image, moved.offset), moved)


def conditions(source_lines: Tensor, driver_lines: Tensor, landmarks: Tensor) -> Tensor:
    """What the generator sees beside the warped source: B x 17 x S x S.

    Eight maps with a Gaussian around each point of the irises' rims, both landmark pictures, and the driver's lines
    within the mouth's box.

    Args:
        source_lines, driver_lines: B x 3 x S x S in [0, 1]. landmarks: the driver's, B x 478 x 2 or 3, pixels.
    """
    size = driver_lines.shape[-1]
    rims = landmarks[:, [point for rim in IRIS_RIMS for point in rim], :2].detach().float()
    axis = torch.arange(size, device=rims.device, dtype=torch.float32)
    x, y = (((axis - rims[..., place, None]) * (2 / size)) ** 2 for place in (0, 1))
    gaze = torch.exp(-(x[:, :, None, :] + y[..., None]) / (2 * _GAZE_VARIANCE)).to(driver_lines.dtype)
    mouth = driver_lines * mouth_mask(landmarks, size).to(driver_lines.dtype)
    return torch.cat([gaze, source_lines, driver_lines, mouth], dim=1)
