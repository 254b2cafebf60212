"""E_mtn's pose part: a frame to its head transform (MegaPortraits, figure 2: a ResNet-18; ours is distilled).

Rotations are read from six numbers, two columns that are made orthonormal: Y. Zhou et al., "On the Continuity of
Rotation Representations in Neural Networks", CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.nets.resnet import CodeHead, ResNet
from avatarkit.systems.megaportraits.config import PoseConfig

__all__ = ["PoseEstimate", "PoseNet", "rotation_of"]

_NUMBERS = 6 + 3 + 1


@dataclass(frozen=True)
class PoseEstimate:
    """A head's place.

    rotation: (B, 3, 3). translation: (B, 3), normalised picture coordinates. scale: (B,), positive.
    """

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    def head(self) -> Tensor:
        """The head transforms s R p + t, (B, 4, 4) float32; gradients pass."""
        linear = self.scale.float()[:, None, None] * self.rotation.float()
        top = torch.cat([linear, self.translation.float()[:, :, None]], dim=2)
        bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(top), 1, 4)
        return torch.cat([top, bottom], dim=1)


class PoseNet(nn.Module):
    """A ResNet-18 in the published presets.

    Attributes:
        config: its sizes.
    """

    def __init__(self, config: PoseConfig) -> None:
        """Build it with random weights, near the identity; `build.build_pose_net` does so from a seed."""
        super().__init__()
        self.config = config
        self.net = ResNet(config.net, config.style)
        self.head = CodeHead(config.net.outputs, _NUMBERS, config.style)
        with torch.no_grad():
            self.head.linear.weight.mul_(0.1)
            self.head.linear.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0]))

    def forward(self, image_B3HW: Tensor) -> PoseEstimate:
        """Estimate the head's pose in square frames of any size, RGB in [0, 1]."""
        size = self.config.size
        if image_B3HW.shape[-1] != size:
            image_B3HW = F.interpolate(
                image_B3HW, size=(size, size), mode="bilinear", align_corners=False, antialias=True
            )
        numbers = self.head(self.net(image_B3HW)).float()
        return PoseEstimate(rotation_of(numbers[:, :6]), numbers[:, 6:9], numbers[:, 9].exp())


def rotation_of(numbers_B6: Tensor) -> Tensor:
    """Rotations B x 3 x 3 whose first two columns lie nearest to six numbers, in this order (Gram-Schmidt)."""
    first, second = numbers_B6[:, :3], numbers_B6[:, 3:]
    x = F.normalize(first, dim=1)
    y = F.normalize(second - (x * second).sum(dim=1, keepdim=True) * x, dim=1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=1)], dim=2)
