"""Whose face a picture shows, as a vector of length 1 that networks may look through: gradients reach the picture.

Two kinds: dlib's recogniser from the registry, and a net of our own that is trained on the people of a dataset. What
all faces have in common to them can be left out: of dlib's vectors it is 0.92 of their length, so that two strangers
have a cosine of 0.84.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.devices import full_precision
from avatarkit.errors import UsageError
from avatarkit.metrics.face_embedding import CHIP_PX, POINTS, ResNet29, chip_places
from avatarkit.nets.convs import Style
from avatarkit.nets.resnet import CodeHead, ResNet, ResNetConfig
from avatarkit.nets.sizes import MOST_CROP, check_side

__all__ = ["DLIB", "Identity", "IdentityConfig"]

DLIB = "face-embedding"
_KINDS = (DLIB, "own")
_RESNET18 = ResNetConfig()
_STYLE = Style(groups=8, standardise=False, spectral=False)


@dataclass(frozen=True)
class IdentityConfig:
    """A recogniser. kind: "face-embedding", the registry's (128 numbers), or "own". code: length of its vector.

    crop_px: side of the face crops that it sees. net: size of an own one.
    """

    kind: str = DLIB
    code: int = 128
    crop_px: int = CHIP_PX
    net: ResNetConfig = _RESNET18

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UsageError(f"identity net of kind {self.kind}: use one of {', '.join(_KINDS)}")
        if self.kind == DLIB and (self.code, self.crop_px) != (128, CHIP_PX):
            size = f"{self.code} of {self.crop_px} px"
            raise UsageError(f"identity net {DLIB}: makes 128 numbers of {CHIP_PX} px, not {size}")
        if self.kind != DLIB:
            check_side("identity net: face crops", self.crop_px, MOST_CROP, self.net.stride)


class Identity(nn.Module):
    """Pictures and landmarks to identity vectors.

    Attributes:
        config: its kind and size. shared: what is taken off its vectors, see `leave_out`; zeros at first.
    """

    places: Tensor
    shared: Tensor

    def __init__(self, config: IdentityConfig) -> None:
        """Build it with random weights."""
        super().__init__()
        self.config = config
        places = torch.tensor(chip_places() * config.crop_px / CHIP_PX, dtype=torch.float32)
        self.register_buffer("places", places, persistent=False)
        self.net: nn.Module
        if config.kind == DLIB:
            self.net = ResNet29()
        else:
            self.net = ResNet(config.net, _STYLE)
            self.head = CodeHead(config.net.outputs, config.code, _STYLE)
        self.register_buffer("shared", torch.zeros(config.code))

    @torch.no_grad()
    def leave_out(self, vectors_PE: Tensor) -> None:
        """Leave out what people have in common, from now on.

        Args:
            vectors_PE: a vector each, made while `shared` was 0. The mean of few people is theirs more than anyone's:
                of one nothing is left out, of two half of it.
        """
        self.shared.copy_((1 - 1 / len(vectors_PE)) * vectors_PE.mean(0))

    def forward(self, image_B3HW: Tensor, landmarks: Tensor) -> Tensor:
        """Return z_id, B x code, each of length 1.

        Args:
            image_B3HW: RGB in [0, 1]. landmarks: B x 478 x 2 or 3, pixels of it; they get no gradient.
        """
        chips = self.chips(image_B3HW, landmarks)
        code = self.net(255 * chips) if self.config.kind == DLIB else self.head(self.net(chips))
        z_id: Tensor = F.normalize(F.normalize(code.float(), dim=1) - self.shared, dim=1)
        return z_id

    def chips(self, image_B3HW: Tensor, landmarks: Tensor) -> Tensor:
        """Faces with level eyes and their five points at the mean places; see `metrics.face_embedding.face_chip`."""
        height, width = image_B3HW.shape[-2:]
        with full_precision(image_B3HW.device):
            points = landmarks[:, list(POINTS), :2].detach().float()
            # The similarity from the chip to the picture: complex factor and shift by least squares.
            chip, mean = self.places - self.places.mean(0), points.mean(1)
            here = points - mean[:, None]
            spread = (chip**2).sum()
            along = (here * chip).sum((1, 2)) / spread
            across = (here[..., 1] * chip[:, 0] - here[..., 0] * chip[:, 1]).sum(1) / spread
            steps = torch.arange(self.config.crop_px, device=points.device, dtype=torch.float32)
            x, y = steps - self.places[:, 0].mean(), steps[:, None] - self.places[:, 1].mean()
            along, across = along[:, None, None], across[:, None, None]
            places = torch.stack([along * x - across * y, across * x + along * y], -1) + mean[:, None, None]
            grid = (2 * places + 1) / places.new_tensor([width, height]) - 1
            return F.grid_sample(image_B3HW.float(), grid, padding_mode="border", align_corners=False)
