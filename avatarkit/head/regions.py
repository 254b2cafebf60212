"""Boxes of the eyes and of the mouth, as masks of batches on their device."""

from __future__ import annotations

import torch
from torch import Tensor

from avatarkit.face.landmarks import LOWER_LIDS, OUTER_LIP_LOWER, OUTER_LIP_UPPER, UPPER_LIDS

__all__ = ["eyes_mask", "mouth_mask"]

_EYES = tuple(upper + lower for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True))
_LIPS = OUTER_LIP_UPPER + OUTER_LIP_LOWER
_EYE_MARGIN, _MOUTH_MARGIN = 3 / 256, 5 / 256
"""Around the landmarks, as shares of the picture's side (MetaPortrait's release)."""


def eyes_mask(landmarks: Tensor, size: int) -> Tensor:
    """Where the eyes are: the upright box around each eye's lids, a little larger.

    Args:
        landmarks: B x 478 x 2 or 3, pixels (x, y). size: side of the picture.

    Returns:
        B x 1 x size x size float32, 0 or 1.
    """
    masks = [_box(landmarks, eye, size, _EYE_MARGIN) for eye in _EYES]
    return torch.maximum(*masks)


def mouth_mask(landmarks: Tensor, size: int) -> Tensor:
    """Where the mouth is: the upright box around the lips, a little larger; as `eyes_mask`."""
    return _box(landmarks, _LIPS, size, _MOUTH_MARGIN)


def _box(landmarks: Tensor, points: tuple[int, ...], size: int, margin: float) -> Tensor:
    # All points of an outline, not one for each side: crossed or missing ones cannot empty the box.
    places = landmarks[:, list(points), :2].detach().float()
    low, high = places.amin(1) - margin * size, places.amax(1) + margin * size
    axis = torch.arange(size, device=places.device, dtype=torch.float32)
    inside = (axis >= low[..., None]) & (axis <= high[..., None])  # B x 2 x size
    return (inside[:, 0, None, :] & inside[:, 1, :, None]).float()[:, None]
