"""Crops around the face and the eyes, cut from batches on their device; gradients pass to the picture.

Pixels are (x, y), centres at whole numbers; grids are those of `align_corners=False`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avatarkit.devices import full_precision
from avatarkit.face.landmarks import MESH, UPPER_LIDS

__all__ = ["eye_crops", "face_crops", "face_disc", "landmarks_in_face_crop"]

FACE_MARGIN = 1.25
"""Side of a face crop in extents of the face's landmarks (choice): brows and chin with room for a thin-plate spline."""
EYE_MARGIN = 1.8
"""Side of an eye crop in eye widths (choice)."""

_DISC_EDGE = 0.04  # over which the disc fades, in sides of a face crop (choice)
_FINER = 2  # samples per pixel along each axis, then averaged: crops may shrink the picture up to four times
_LEAST_PX = 1.0


def face_crops(image_B3HW: Tensor, landmarks: Tensor, size: int) -> Tensor:
    """Cut upright squares around faces.

    Args:
        image_B3HW: RGB in [0, 1]. landmarks: B x 478 x 2 or 3, pixels of the picture; they get no gradient.
        size: of the crops, pixels.

    Returns:
        B x 3 x size x size; black where a crop leaves the picture.
    """
    centre, side = _face_square(landmarks)
    axis = torch.stack([torch.ones_like(side), torch.zeros_like(side)], dim=-1)
    return _cut(image_B3HW, centre, axis, side, size)


def landmarks_in_face_crop(landmarks: Tensor, size: int) -> Tensor:
    """Landmarks, B x 478 x 2 or 3, in pixels of the crops that `face_crops` cuts by them; z is scaled like x."""
    centre, side = _face_square(landmarks)
    factor = (size / side)[:, None, None]
    flat = (landmarks[..., :2].float() - centre[:, None]) * factor + (size - 1) / 2
    return torch.cat([flat, landmarks[..., 2:].float() * factor], dim=-1)


def eye_crops(image_B3HW: Tensor, landmarks: Tensor, size: int) -> Tensor:
    """Cut squares around both eyes, turned so that the line of an eye's corners is level.

    Args:
        image_B3HW: RGB in [0, 1]. landmarks: B x 478 x 2 or 3, pixels of the picture; they get no gradient.
        size: of the crops, pixels.

    Returns:
        B x 2 x 3 x size x size, the person's right eye, then the left; black where a crop leaves the picture.
    """
    points = landmarks[..., :2].detach().float()
    crops = []
    for eye, lid in enumerate(UPPER_LIDS):
        ends = points[:, [lid[0], lid[-1]]]
        # Lids run from the outer to the inner corner; x of the crop grows as that of the picture.
        along = (ends[:, 1] - ends[:, 0]) * (1 if eye == 0 else -1)
        width = along.norm(dim=-1).clamp(min=_LEAST_PX)
        crops.append(_cut(image_B3HW, ends.mean(dim=1), along / width[:, None], EYE_MARGIN * width, size))
    return torch.stack(crops, dim=1)


def face_disc(size: int) -> Tensor:
    """Share of each pixel of a face crop that counts: size x size, 1 in a disc about the centre, 0 in the corners.

    It reaches as far as the landmarks, whose extent `FACE_MARGIN` tells, and fades beyond them. Hair, clothes and
    backgrounds outside it say who somebody is, and nothing of the expression.
    """
    steps = (torch.arange(size) + 0.5) / size - 0.5
    radius = (steps[:, None] ** 2 + steps[None] ** 2).sqrt()
    return ((0.5 / FACE_MARGIN - radius) / _DISC_EDGE + 1).clamp(0, 1)


def _face_square(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Centres B x 2 and sides B of squares around faces, in pixels."""
    points = landmarks[:, :MESH, :2].detach().float()
    low, high = points.amin(dim=1), points.amax(dim=1)
    return (low + high) / 2, FACE_MARGIN * (high - low).amax(dim=1).clamp(min=_LEAST_PX)


def _cut(image_B3HW: Tensor, centre_B2: Tensor, axis_B2: Tensor, side_B: Tensor, size: int) -> Tensor:
    """Sample squares: centre and side in pixels, and the unit vector along which a crop's x grows."""
    height, width = image_B3HW.shape[-2:]
    with full_precision(image_B3HW.device):
        finer = _FINER * size
        steps = (torch.arange(finer, device=centre_B2.device, dtype=torch.float32) + 0.5) / finer - 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        across = torch.stack([-axis_B2[:, 1], axis_B2[:, 0]], dim=-1)
        scale = side_B[:, None, None, None]
        offset = x[None, :, :, None] * axis_B2[:, None, None] + y[None, :, :, None] * across[:, None, None]
        points = centre_B2[:, None, None] + scale * offset
        grid = (2 * points + 1) / points.new_tensor([width, height]) - 1
        crops = F.grid_sample(image_B3HW.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return F.avg_pool2d(crops, _FINER).to(image_B3HW.dtype)
