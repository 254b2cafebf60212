"""G_base: the base model, from a source and a driver's motion to a picture (MegaPortraits, figure 2 and supplementary).

| box | class |
|---|---|
| E_app: local, global | `AppearanceEncoder`: `LocalAppearance`, `GlobalAppearance` |
| E_mtn: expression | `ExpressionEncoder` (pose: `pose.PoseNet`) |
| W source, W driver | `WarpGenerator`, twice; grids and their directions: `warp.py` |
| G_3D | `G3D` |
| P, G_2D | `Projection`, `G2D` |
| G_base | `Base`: all that depends on the source alone is in `encode_source`; `drive` does the rest for each frame |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.devices import full_precision
from avatarkit.errors import UsageError
from avatarkit.head.face_crop import face_disc
from avatarkit.nets.blocks import AdaptiveResBlock3D, Head, ResBlock2D, ResBlock3D, down, group_norm, in_full, up
from avatarkit.nets.convs import Conv2d, Conv3d, Style
from avatarkit.nets.resnet import CodeHead, ResNet
from avatarkit.nets.sizes import doublings
from avatarkit.systems.megaportraits.config import BaseConfig, LocalConfig
from avatarkit.systems.megaportraits.pose import PoseEstimate, PoseNet
from avatarkit.systems.megaportraits.warp import driver_grid, sample, source_grid

__all__ = [
    "G2D",
    "G3D",
    "AppearanceEncoder",
    "Base",
    "Driven",
    "ExpressionEncoder",
    "LocalAppearance",
    "Projection",
    "SourceCode",
    "WarpGenerator",
]  # fmt: skip

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


class ExpressionEncoder(nn.Module):
    """A ResNet-18 in the published presets, trained from scratch with the base model. It sees a disc of its crops."""

    disc: Tensor

    def __init__(self, config: BaseConfig) -> None:
        """Build it."""
        super().__init__()
        self.register_buffer("disc", face_disc(config.face_size), persistent=False)
        self.net = ResNet(config.expression_net, config.style)
        self.head = CodeHead(config.expression_net.outputs, config.code, config.style)

    def forward(self, crop_B3HW: Tensor) -> Tensor:
        """Return z, B x E, of face crops, RGB in [0, 1]; see `face_crop.face_crops`."""
        code: Tensor = self.head(self.net(crop_B3HW * self.disc))
        return code


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
        self.gain = 1.0 if config.offset_gain is None else config.offset_gain
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
        nn.init.normal_(self.last.weight, std=_FIRST_OFFSET / self.gain * (2 / fan_in) ** 0.5)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, code_BE: Tensor) -> Tensor:
        """Return offsets (x, y, z), B x 3 x D x H x W in [-1, 1] canonical units, of z + e."""
        x = self.start(code_BE).view(len(code_BE), -1, self.depth, 1, 1) + self.place
        for block, factors in zip(self.blocks, self.factors, strict=True):
            x = up(block(x, code_BE), factors)
        offset: Tensor = torch.tanh(self.gain * in_full(self.last, F.relu(self.norm(x), inplace=True)))
        return offset


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
        return torch.sigmoid(in_full(self.head, x))


@dataclass(frozen=True)
class SourceCode:
    """What the drivers of a source share.

    volume: canonical, after G_3D, B x C x D x H x W. descriptor: e_s, B x E.
    grid: where the canonical volume read in the source's, B x D x H x W x 3, for pictures of the warp.
    """

    volume: Tensor
    descriptor: Tensor
    grid: Tensor


@dataclass(frozen=True)
class Driven:
    """A driven frame.

    image: B x 3 x S x S, RGB in [0, 1]. grid: where the picture's volume read in the canonical one,
    B x D x H x W x 3, for pictures of the warp.
    """

    image: Tensor
    grid: Tensor


class Base(nn.Module):
    """G_base. Head transforms are the tracker's or those of its pose net (`pose`); see `warp` for what they mean.

    Attributes:
        config: its sizes. pose_net: E_mtn's pose part, frozen, where the model is trained with its estimates.
    """

    def __init__(self, config: BaseConfig) -> None:
        """Build all its networks with random weights; `build.build_base` does so from a seed."""
        super().__init__()
        self.config = config
        local = config.local
        self.appearance = AppearanceEncoder(config)
        self.expression_encoder = ExpressionEncoder(config)
        self.warp_source = WarpGenerator(config)
        self.warp_driver = WarpGenerator(config)
        self.g3d = G3D(config)
        self.projection = Projection(local.channels, local.depth, config.projection, config.style)
        self.g2d = G2D(config)
        self.pose_net = None if config.pose_net is None else PoseNet(config.pose_net).requires_grad_(False)

    @torch.no_grad()
    def pose(self, image_B3HW: Tensor, tracked_B44: Tensor) -> Tensor:
        """The head transforms, B x 4 x 4, that both warps go by: the tracker's, or what the pose net sees in frames.

        Args:
            image_B3HW: RGB in [0, 1]. tracked_B44: the tracker's head transforms of the same frames.
        """
        if self.pose_net is None:
            return tracked_B44
        with full_precision(image_B3HW.device):
            estimate: PoseEstimate = self.pose_net(image_B3HW.float())
        return estimate.head().to(tracked_B44.dtype)

    def expression(self, crop_B3HW: Tensor) -> Tensor:
        """The code z, B x E, of face crops B x 3 x face_size x face_size, RGB in [0, 1]; of sources and drivers alike.

        Raises:
            UsageError: crops of another size.
        """
        _check_size(crop_B3HW, self.config.face_size, "face crop")
        code: Tensor = self.expression_encoder(crop_B3HW)
        return code

    def encode_source(self, image_B3HW: Tensor, head_B44: Tensor, z_BE: Tensor) -> SourceCode:
        """Bring a source into the canonical volume; G_3D runs here, and only here.

        Args:
            image_B3HW: RGB in [0, 1], of the configuration's size. head_B44: head transform of the picture.
            z_BE: its expression.

        Raises:
            UsageError: a picture of another size.
        """
        _check_size(image_B3HW, self.config.size, "source")
        volume, descriptor = self.appearance(image_B3HW)
        offset = self.warp_source(z_BE + descriptor)
        grid = source_grid(self._rigid(head_B44), offset)
        return SourceCode(self.g3d(sample(volume, grid)), descriptor, grid)

    def drive(self, source: SourceCode, head_B44: Tensor, z_BE: Tensor) -> Driven:
        """Draw sources with the head's pose and the expression of drivers, one driver each.

        Args:
            source: of `encode_source`. head_B44: head transform to be drawn. z_BE: expression to be drawn.
        """
        offset = self.warp_driver(z_BE + source.descriptor)
        grid = driver_grid(self._rigid(head_B44), offset)
        return Driven(self.g2d(self.projection(sample(source.volume, grid))), grid)

    def _rigid(self, head_B44: Tensor) -> Tensor:
        if self.config.use_head_pose:
            return head_B44
        return torch.eye(4, dtype=head_B44.dtype, device=head_B44.device).expand_as(head_B44)


def _check_size(image_BCHW: Tensor, size: int, what: str) -> None:
    height, width = image_BCHW.shape[-2:]
    if (height, width) != (size, size):
        raise UsageError(f"{what} of {width} x {height} px: this base model takes {size} x {size}; resize it first")
