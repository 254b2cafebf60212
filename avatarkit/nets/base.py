"""G_base: the base model, from a source and a driver's motion to a picture (MegaPortraits, figure 2).

Everything that depends on the source alone is in `encode_source`; `drive` does the rest for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.nets.appearance import AppearanceEncoder
from avatarkit.nets.expression import ExpressionEncoder
from avatarkit.nets.g2d import G2D, Projection
from avatarkit.nets.g3d import G3D
from avatarkit.nets.presets import BaseConfig
from avatarkit.nets.warp import driver_grid, sample, source_grid
from avatarkit.nets.warp_generator import WarpGenerator

__all__ = ["Base", "Driven", "SourceCode"]


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
    """G_base. Head transforms come from the dataset or from a `PoseNet`; see `warp` for what they mean.

    Attributes:
        config: its sizes.
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
