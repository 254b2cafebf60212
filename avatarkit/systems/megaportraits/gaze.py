"""The gaze and blink net (MegaPortraits, appendix: the gaze loss).

Its trunk has the layout of torchvision's VGG16, so that weights trained on ImageNet can start it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from avatarkit.devices import chosen
from avatarkit.errors import UsageError
from avatarkit.face.landmarks import RIGID
from avatarkit.nets.features.vgg import IMAGENET_MEAN, IMAGENET_STD
from avatarkit.systems.megaportraits.config import GazeConfig

__all__ = ["GazeEstimate", "GazeNet", "keypoints"]

_CONVS = (2, 2, 3, 3, 3)
_POOLS = 5


@dataclass(frozen=True)
class GazeEstimate:
    """What the shards annotate.

    gaze: (B, 2, 2), right and left eye: offsets of the iris along and across the eye, in eye widths.
    opening: (B, 2), distance of the lids over the eye's width.
    """

    gaze: Tensor
    opening: Tensor


class GazeNet(nn.Module):
    """VGG16 on each eye crop, the two codes summed; points of the face; heads for gaze and lids.

    Attributes:
        config: its sizes. trunk: the VGG16's convolutions, torchvision's `features`.
    """

    def __init__(self, config: GazeConfig) -> None:
        """Build it with random weights; `build.build_gaze_net` does so from a seed.

        Raises:
            UsageError: crops too small for VGG16's five poolings.
        """
        super().__init__()
        self.config = config
        side = config.eye_size >> _POOLS
        if side < 1:
            raise UsageError(f"gaze net: eye crops of {config.eye_size} px are too small; give at least {1 << _POOLS}")
        self.trunk = _vgg16(config.widths)
        # One layer for each eye (choice): a sum of equal ones could not tell which eye is closed.
        inputs = config.widths[-1] * side * side
        self.eyes = nn.ModuleList(nn.Linear(inputs, config.code) for _ in range(2))
        points, code, hidden = 2 * len(RIGID), config.keypoint_code, config.hidden
        self.points = _linears([points, code, code, code])
        self.gaze_head = _linears([config.code + code, hidden, 4])
        self.blink_head = _linears([config.code, hidden, 2])
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, crops_B23HW: Tensor, landmarks: Tensor) -> GazeEstimate:
        """Estimate gaze and lids.

        Args:
            crops_B23HW: right and left eye, RGB in [0, 1], eye_size pixels; see `face_crop.eye_crops`.
            landmarks: B x 478 x 2 or 3, pixels of the picture; those of eyes and mouth are not used.

        Raises:
            UsageError: crops of another size.
        """
        size = self.config.eye_size
        if crops_B23HW.shape[-2:] != (size, size):
            raise UsageError(f"eye crops of {crops_B23HW.shape[-1]} px: this gaze net takes {size}")
        crops = (crops_B23HW.flatten(0, 1) - self.get_buffer("mean")) / self.get_buffer("std")
        maps = self.trunk(crops).flatten(1).unflatten(0, (-1, 2))
        eyes: Tensor = self.eyes[0](maps[:, 0]) + self.eyes[1](maps[:, 1])
        seen = torch.relu(eyes)
        face = torch.relu(self.points(keypoints(landmarks).to(seen.dtype)))
        gaze = self.gaze_head(torch.cat([seen, face], dim=1))
        return GazeEstimate(gaze.unflatten(1, (2, 2)), self.blink_head(seen))


def keypoints(landmarks: Tensor) -> Tensor:
    """Points of the face that eyes and mouth do not move, B x 2K: centred, over their spread.

    They tell the net how the head is turned. Irises and lids are not among them: the net is to look at the pixels.
    """
    points = chosen(landmarks, RIGID)[..., :2].float()
    centred = points - points.mean(dim=1, keepdim=True)
    spread = centred.square().sum(dim=2).mean(dim=1).sqrt().clamp(min=1e-3)
    return (centred / spread[:, None, None]).flatten(1)


def _vgg16(widths: Sequence[int]) -> nn.Sequential:
    layers, inputs = nn.Sequential(), 3
    for count, width in zip(_CONVS, widths, strict=True):
        for _ in range(count):
            conv = nn.Conv2d(inputs, width, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            layers.extend([conv, nn.ReLU(inplace=True)])
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return layers


def _linears(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLUs between them."""
    layers = nn.Sequential()
    for before, after in pairwise(widths):
        if len(layers):
            layers.append(nn.ReLU())
        layers.append(nn.Linear(before, after))
    return layers
