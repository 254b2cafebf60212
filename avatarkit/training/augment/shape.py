"""Another facial shape with the same expression, for the driver that the expression encoder sees.

MegaPortraits warps the driver "by a random thin-plate spline that deforms facial shape but not expression". Here the
control points around each eye, with its brow, and around the mouth move as one, scaled and shifted but not turned:
lids, irises and lips keep their proportions, and so what they say. The outline of the face and the nose move on their
own, by random proportions of jaw, chin and forehead (the amounts are a choice).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avatarkit.devices import chosen, constant
from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import eased
from avatarkit.training.augment.spline import fit_spline, warp

__all__ = ["ShapeStrength", "change_shape", "control_points"]

DRAWS = 10
"""Numbers that one sample's change takes."""


@dataclass(frozen=True)
class ShapeStrength:
    """How far proportions may change, each to either side.

    eye_size, eye_distance, mouth_size, jaw_width, forehead_width: as shares of what they are.
    eye_shift, mouth_shift, nose_shift, chin_shift, forehead_shift: up or down, in half heights of the face.
    """

    eye_size: float = 0.12
    eye_distance: float = 0.1
    mouth_size: float = 0.15
    jaw_width: float = 0.2
    forehead_width: float = 0.12
    eye_shift: float = 0.06
    mouth_shift: float = 0.08
    nose_shift: float = 0.06
    chin_shift: float = 0.16
    forehead_shift: float = 0.12


_EYES = tuple(
    (*upper[::2], *lower[2:-1:2], *crease[1::2], *bag[1::2], iris, *brow[:5:2], *brow[5::2])
    for upper, lower, crease, bag, iris, brow in zip(
        lm.UPPER_LIDS, lm.LOWER_LIDS, lm.UPPER_CREASES, lm.LOWER_CREASES, lm.IRIS_CENTRES, lm.BROWS, strict=True
    )
)
_LIPS = (
    *lm.OUTER_LIP_UPPER[::2], *lm.OUTER_LIP_LOWER[2:-1:2], *lm.INNER_LIP_UPPER[1:-1:2], *lm.INNER_LIP_LOWER[1:-1:2],
)  # fmt: skip
_OUTLINE = lm.FACE_OVAL[::2]
_NOSE = (1, *lm.MIDLINE_BOTTOM)
_FADE = 0.45  # free points nearer than this to eyes or mouth go with them, in half heights of the face
_EDGE = 0.15  # and those nearer than this to the picture's edge stay, in half pictures


def change_shape(crops: Tensor, landmarks: Tensor, draws: Tensor, strength: ShapeStrength) -> Tensor:
    """Give each face another shape.

    Args:
        crops: B x C x H x W, a face each.
        landmarks: B x 478 x 2 or 3, pixels of the crop; they may lie outside of it.
        draws: B x 10 in [0, 1); 0.5 changes nothing.
        strength: how far.

    Returns:
        B x C x H x W.
    """
    height, width = crops.shape[-2:]
    sides = constant([float(width), float(height)], landmarks)
    points = (2 * landmarks[..., :2] + 1) / sides - 1
    before, after = control_points(points.float(), draws, strength)
    # The picture is drawn backwards: from each place in the new face to where it stood.
    return warp(crops, fit_spline(after, before))


def control_points(points: Tensor, draws: Tensor, strength: ShapeStrength) -> tuple[Tensor, Tensor]:
    """Control points before and after the change of shape, (B, K, 2) each, in coordinates of [-1, 1].

    Args:
        points: landmarks, B x 478 x 2 in [-1, 1].
        draws, strength: as in `change_shape`.
    """
    signed = iter((2 * draws - 1).to(points.dtype).unbind(1))
    eye_size, eye_distance, mouth_size, jaw, forehead = (next(signed)[:, None, None] for _ in range(5))
    shifts = [next(signed)[:, None, None] for _ in range(5)]
    down = points[:, lm.CHIN, None] - points[:, lm.FOREHEAD, None]
    half = down.norm(dim=-1, keepdim=True).clamp(min=1e-3) / 2
    down = down / (2 * half)
    aside = torch.stack([down[..., 1], -down[..., 0]], dim=-1)
    centre = chosen(points, lm.FACE_OVAL).mean(1, keepdim=True)

    eyes = [chosen(points, region) for region in _EYES]
    centres = [eye.mean(1, keepdim=True) for eye in eyes]
    between = (centres[0] + centres[1]) / 2
    lift = strength.eye_shift * shifts[0] * half * down
    moved_eyes = []
    for eye, middle in zip(eyes, centres, strict=True):
        place = between + (1 + strength.eye_distance * eye_distance) * (middle - between) + lift
        moved_eyes.append(place + (1 + strength.eye_size * eye_size) * (eye - middle))
    lips = chosen(points, _LIPS)
    middle = lips.mean(1, keepdim=True)
    place = middle + strength.mouth_shift * shifts[1] * half * down
    moved_lips = place + (1 + strength.mouth_size * mouth_size) * (lips - middle)
    held, held_moved = torch.cat([*eyes, lips], 1), torch.cat([*moved_eyes, moved_lips], 1)

    outline, nose = chosen(points, _OUTLINE), chosen(points, _NOSE)
    local = outline - centre
    x, y = ((local * axis).sum(-1, keepdim=True) for axis in (aside, down))
    height = (y / half).clamp(-1, 1)
    low = (1 + height) / 2
    wider = low * strength.jaw_width * jaw + (1 - low) * strength.forehead_width * forehead
    longer = torch.where(height > 0, strength.chin_shift * shifts[3], strength.forehead_shift * shifts[4])
    moved_outline = outline + wider * x * aside + longer * height.abs() * height.sign() * half * down
    moved_nose = nose + strength.nose_shift * shifts[2] * half * down
    free, free_moved = torch.cat([outline, nose], 1), torch.cat([moved_outline, moved_nose], 1)
    free_moved = free + _blend(free, free_moved - free, held, held_moved - held, half)

    frame = _frame(points)
    return torch.cat([held, free, frame], 1), torch.cat([held_moved, free_moved, frame], 1)


def _blend(free: Tensor, own: Tensor, held: Tensor, held_shift: Tensor, half: Tensor) -> Tensor:
    """Shifts of free points: their own, but that of eyes or mouth close to those, and none at the picture's edge.

    So neighbours never part, not even in profile, where the outline runs past the far eye.
    """
    distance = (free[:, :, None] - held[:, None]).norm(dim=-1)
    nearest, index = distance.min(-1)
    theirs = held_shift.gather(1, index[..., None].expand(-1, -1, 2))
    own_share = _smooth(nearest[..., None] / (_FADE * half))
    inside = _smooth((1 - free.abs().amax(-1, keepdim=True)) / _EDGE)
    return inside * (own_share * own + (1 - own_share) * theirs)


def _smooth(share: Tensor) -> Tensor:
    return eased(share.clamp(0, 1))


def _frame(points: Tensor) -> Tensor:
    """Points on the picture's edge, (B, 12, 2): what is there stays."""
    steps = (-1.0, -1 / 3, 1 / 3, 1.0)
    edge = [(x, y) for x in steps for y in steps if max(abs(x), abs(y)) == 1]
    return constant(edge, points).expand(len(points), -1, -1)
