"""Gaze loss: L1 between a gaze net's features of the eyes of prediction and target (MegaPortraits, base model).

Gradients reach the prediction around the eyes alone: the crops that the net sees hold brows and nose as well, and
those are the business of other losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatarkit.face.landmarks import UPPER_LIDS
from avatarkit.head.face_crop import eye_crops
from avatarkit.losses.foreground import foreground, weighted_l1
from avatarkit.losses.perceptual import LAYER_WEIGHTS
from avatarkit.nets.features.vgg import FeatureNet

__all__ = ["EYE_CROP_PX", "GazeLoss", "eye_mask", "gaze_loss"]

EYE_CROP_PX = 64
_ALONG, _ACROSS = 0.75, 0.5  # half axes of the ellipse around an eye, in eye widths: lids and lashes, not brows


def gaze_loss(
    net: FeatureNet,
    prediction: Tensor,
    target: Tensor,
    landmarks: Tensor,
    matte: Tensor | None = None,
    *,
    crop_px: int = EYE_CROP_PX,
) -> Tensor:
    """L1 between feature maps of both eyes, summed over layers by `perceptual.LAYER_WEIGHTS`.

    Args:
        net: features of eye crops.
        prediction, target: B x 3 x H x W, RGB in [0, 1]; gradients go to the prediction alone.
        landmarks: B x 478 x 2 or 3, pixels of the target.
        matte: B x 1 x H x W in [0, 1], the target's.
        crop_px: side of the eye crops.

    Returns:
        A scalar.

    Raises:
        UsageError: sizes differ, or crops under 16 pixels.
    """
    prediction, target = foreground(prediction, target, matte)
    height, width = target.shape[-2:]
    near = eye_mask(landmarks, height, width).to(prediction.dtype)
    prediction = near * prediction + (1 - near) * prediction.detach()
    seen = eye_crops(prediction, landmarks, crop_px).flatten(0, 1)
    with torch.no_grad():
        wanted = net(eye_crops(target, landmarks, crop_px).flatten(0, 1))
    return weighted_l1(net(seen), wanted, LAYER_WEIGHTS)


def eye_mask(landmarks: Tensor, height: int, width: int) -> Tensor:
    """Where the eyes are: an ellipse around each, along the line of its corners.

    Args:
        landmarks: B x 478 x 2 or 3, pixels (x, y).
        height, width: of the picture.

    Returns:
        B x 1 x H x W float32, 0 or 1.
    """
    points = landmarks[..., :2].detach().float()
    outer, inner = (points[:, [lids[end] for lids in UPPER_LIDS]] for end in (0, -1))
    middle, along = (outer + inner) / 2, inner - outer
    span = along.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    along = along / span
    y, x = torch.meshgrid(
        torch.arange(height, device=points.device), torch.arange(width, device=points.device), indexing="ij"
    )
    offset = torch.stack([x, y], dim=-1)[None, None] - middle[:, :, None, None]
    offset = offset / span[:, :, None, None]
    first = (offset * along[:, :, None, None]).sum(-1)
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    second = (offset * across[:, :, None, None]).sum(-1)
    inside: Tensor = (first / _ALONG) ** 2 + (second / _ACROSS) ** 2 <= 1
    return inside.any(dim=1, keepdim=True).float()


class GazeLoss(nn.Module):
    """`gaze_loss` with one net."""

    def __init__(self, net: FeatureNet, crop_px: int = EYE_CROP_PX) -> None:
        """Take the features of a gaze net and the size of the crops that it sees."""
        super().__init__()
        self.net = net
        self.crop_px = crop_px

    def forward(self, prediction: Tensor, target: Tensor, landmarks: Tensor, matte: Tensor | None = None) -> Tensor:
        """The loss, a scalar; see `gaze_loss`."""
        return gaze_loss(self.net, prediction, target, landmarks, matte, crop_px=self.crop_px)
