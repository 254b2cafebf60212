"""Crops around the face and the eyes, cut from batches on their device; gradients pass to the picture.

Pixels are (x, y), centres at whole numbers; grids are those of `align_corners=False`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avatarkit.devices import chosen, constant, full_precision
from avatarkit.face.landmarks import UPPER_LIDS

__all__ = ["eye_crops", "face_crops", "face_disc", "landmarks_in_face_crop"]

FACE_CENTRE = (0.0, 0.1, -0.4)
"""Middle of a face crop in canonical coordinates (head/matrix.py), on the plane of eyes and mouth: the mesh of an
average face reaches from -0.39 to 0.54 of y (choice)."""
FACE_HALF = 0.6
"""Half the side of a face crop in canonical units (choice): brows an open mouth, room for a spline's changes."""
_LEAST_SHORTENING = 0.5
"""Of the face's axes: a face in profile is not stretched further, since it does not show what would be seen."""
EYE_MARGIN = 1.8
"""Side of an eye crop in eye widths (choice)."""

_DISC_RADIUS = 0.42  # of the part that counts in full, in sides of a face crop (choice)
_DISC_EDGE = 0.04  # over which the disc fades, in sides of a face crop (choice)
_FINER = 2  # samples per pixel along each axis, then averaged: crops may shrink the picture up to four times
_LEAST_PX = 1.0


def face_crops(image_B3HW: Tensor, head_B44: Tensor, size: int) -> Tensor:
    """Cut the plane of eyes and mouth out of pictures, as seen from the front: roll, size and turn are taken out.

    Args:
        image_B3HW: RGB in [0, 1], square. head_B44: head transforms (head/matrix.py); they get no gradient.
        size: of the crops, pixels.

    Returns:
        B x 3 x size x size; black where a crop leaves the picture.
    """
    middle, axes = _face_plane(head_B44)
    side = image_B3HW.shape[-1]
    return _cut(image_B3HW, ((middle + 1) * side - 1) / 2, axes * side, size)


def landmarks_in_face_crop(landmarks: Tensor, head_B44: Tensor, picture_px: int, size: int) -> Tensor:
    """Landmarks, B x 478 x 2 or 3, in pixels of the crops that `face_crops` cuts; z is scaled like x.

    Args:
        landmarks: pixels of the picture. head_B44: its head transforms. picture_px, size: sides of picture and crop.
    """
    middle, axes = _face_plane(head_B44)
    norm = (2 * landmarks[..., :2].float() + 1) / picture_px - 1
    with full_precision(landmarks.device):
        flat = (norm - middle[:, None]) @ torch.linalg.inv_ex(2 * axes).inverse.mT * size + (size - 1) / 2
    factor = size / (axes[..., 0].norm(dim=-1) * picture_px)
    return torch.cat([flat, landmarks[..., 2:].float() * factor[:, None, None]], dim=-1)


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
        ends = chosen(points, [lid[0], lid[-1]])
        # Lids run from the outer to the inner corner; x of the crop grows as that of the picture.
        along = (ends[:, 1] - ends[:, 0]) * (1 if eye == 0 else -1)
        width = along.norm(dim=-1).clamp(min=_LEAST_PX)
        axis = along / width[:, None]
        across = torch.stack([-axis[:, 1], axis[:, 0]], dim=-1)
        axes = EYE_MARGIN * width[:, None, None] * torch.stack([axis, across], dim=-1)
        crops.append(_cut(image_B3HW, ends.mean(dim=1), axes, size))
    return torch.stack(crops, dim=1)


def face_disc(size: int) -> Tensor:
    """Share of each pixel of a face crop that counts: size x size, 1 in a disc about the centre, 0 in the corners.

    It holds an average face and fades beyond it. Hair, clothes and backgrounds outside it say who somebody is, and
    nothing of the expression.
    """
    steps = (torch.arange(size) + 0.5) / size - 0.5
    radius = (steps[:, None] ** 2 + steps[None] ** 2).sqrt()
    return ((_DISC_RADIUS - radius) / _DISC_EDGE + 1).clamp(0, 1)


def _face_plane(head_B44: Tensor) -> tuple[Tensor, Tensor]:
    """Middles B x 2 of face crops in normalised coordinates, and their sides' vectors as columns, B x 2 x 2.

    The vectors have the length of whole sides in pictures: 1 is the picture's width.
    """
    head = head_B44.detach().float()
    linear = head[:, :3, :3]
    # Sums, since products of matrices would take half precision under autocast.
    middle = (head[:, :2, :3] * constant(FACE_CENTRE, head)).sum(-1) + head[:, :2, 3]
    least = _LEAST_SHORTENING * linear.norm(dim=1, keepdim=True)[..., :2]
    axes = linear[:, :2, :2]
    length = axes.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return middle, FACE_HALF * axes * (torch.maximum(length, least) / length)


def _cut(image_B3HW: Tensor, centre_B2: Tensor, axes_B22: Tensor, size: int) -> Tensor:
    """Sample parallelograms: centre in pixels, and the vectors of a crop's sides along x and y as columns."""
    height, width = image_B3HW.shape[-2:]
    with full_precision(image_B3HW.device):
        finer = _FINER * size
        steps = (torch.arange(finer, device=centre_B2.device, dtype=torch.float32) + 0.5) / finer - 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        across = (
            x[None, :, :, None] * axes_B22[:, None, None, :, 0] + y[None, :, :, None] * axes_B22[:, None, None, :, 1]
        )
        points = centre_B2[:, None, None] + across
        grid = (2 * points + 1) / constant([float(width), float(height)], points) - 1
        crops = F.grid_sample(image_B3HW.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return F.avg_pool2d(crops, _FINER).to(image_B3HW.dtype)
