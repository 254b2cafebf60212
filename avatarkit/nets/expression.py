"""E_mtn's expression part: a face crop to the code z (MegaPortraits, figure 2)."""

from __future__ import annotations

from torch import Tensor, nn

from avatarkit.nets.face_crop import face_disc
from avatarkit.nets.presets import BaseConfig
from avatarkit.nets.resnet import CodeHead, ResNet

__all__ = ["ExpressionEncoder"]


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
