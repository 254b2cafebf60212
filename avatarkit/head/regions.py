"""Where mouth and eyes are in a picture, as masks of batches on their device: boxes, or soft ellipses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avatarkit.devices import chosen
from avatarkit.face.landmarks import LOWER_LIDS, OUTER_LIP_LOWER, OUTER_LIP_UPPER, UPPER_LIDS

__all__ = ["EYES", "MOUTH", "eyes_mask", "mouth_mask", "region_mask", "region_weights"]

EYES: tuple[tuple[int, ...], ...] = tuple(upper + lower for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True))
MOUTH: tuple[tuple[int, ...], ...] = (OUTER_LIP_UPPER + OUTER_LIP_LOWER,)
"""Landmarks of each region's parts."""
_EYE_MARGIN, _MOUTH_MARGIN = 3 / 256, 5 / 256
"""Around the landmarks, as shares of the picture's side (MetaPortrait's release)."""
_GROWN = 1.35
"""Half axes of the ellipses, in half extents of a part's landmarks (choice)."""
_LEAST = 0.6
"""Height of an ellipse at least, as a share of its width: shut lids and lips have hardly any (choice)."""
_EDGE_PX = 1.0


def eyes_mask(landmarks: Tensor, size: int) -> Tensor:
    """Where the eyes are: the upright box around each eye's lids, a little larger.

    Args:
        landmarks: B x 478 x 2 or 3, pixels (x, y). size: side of the picture.

    Returns:
        B x 1 x size x size float32, 0 or 1.
    """
    masks = [_box(landmarks, eye, size, _EYE_MARGIN) for eye in EYES]
    return torch.maximum(*masks)


def mouth_mask(landmarks: Tensor, size: int) -> Tensor:
    """Where the mouth is: the upright box around the lips, a little larger; as `eyes_mask`."""
    return _box(landmarks, MOUTH[0], size, _MOUTH_MARGIN)


def _box(landmarks: Tensor, points: tuple[int, ...], size: int, margin: float) -> Tensor:
    # All points of an outline, not one for each side: crossed or missing ones cannot empty the box.
    places = chosen(landmarks, points)[..., :2].detach().float()
    low, high = places.amin(1) - margin * size, places.amax(1) + margin * size
    axis = torch.arange(size, device=places.device, dtype=torch.float32)
    inside = (axis >= low[..., None]) & (axis <= high[..., None])  # B x 2 x size
    return (inside[:, 0, None, :] & inside[:, 1, :, None]).float()[:, None]


def region_mask(landmarks: Tensor, parts: Sequence[Sequence[int]], height: int, width: int) -> Tensor:
    """Upright ellipses around parts of a face, soft over a pixel.

    Args:
        landmarks: B x 478 x 2 or 3, pixels (x, y) of the picture; they get no gradient.
        parts: landmarks of each ellipse, such as `MOUTH`. height, width: of the picture.

    Returns:
        B x 1 x H x W in [0, 1].
    """
    points = landmarks[..., :2].detach().float()
    x = torch.arange(width, device=points.device, dtype=torch.float32)[None, None]
    y = torch.arange(height, device=points.device, dtype=torch.float32)[None, :, None]
    result = points.new_zeros(len(points), height, width)
    for part in parts:
        outline = chosen(points, part)
        low, high = outline.amin(dim=1), outline.amax(dim=1)
        middle, half = (low + high) / 2, _GROWN * (high - low) / 2
        across = half[:, 0].clamp(min=1.0)
        down = torch.maximum(half[:, 1], _LEAST * across)
        radius = (((x - middle[:, 0, None, None]) / across[:, None, None]) ** 2
                  + ((y - middle[:, 1, None, None]) / down[:, None, None]) ** 2).sqrt()  # fmt: skip
        inside = 0.5 + (1 - radius) * down[:, None, None] / _EDGE_PX
        result = torch.maximum(result, inside.clamp(0, 1))
    return result[:, None]


def region_weights(landmarks: Tensor, height: int, width: int, mouth: float, eyes: float) -> Tensor:
    """1 everywhere, and `mouth` or `eyes` more in those regions: B x 1 x H x W; arguments as `region_mask`."""
    weights = 1 + mouth * region_mask(landmarks, MOUTH, height, width)
    return weights + eyes * region_mask(landmarks, EYES, height, width)
