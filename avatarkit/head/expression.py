"""A face's expression as a few numbers of like size, from landmarks with the head's pose taken out."""

from __future__ import annotations

import torch
from torch import Tensor

from avatarkit.devices import chosen, constant, full_precision
from avatarkit.face import landmarks as lm

__all__ = ["NUMBERS", "expression_numbers"]

_MOUTH = (78, 308, 13, 14, 61, 291)
"""Inner corners right and left, middle of the inner lips above and below, outer corners."""
_BROWS = tuple(brow[2] for brow in lm.BROWS)

NUMBERS: dict[str, tuple[float, float]] = {
    "mouth opening": (0.050, 0.035),
    "mouth width": (0.245, 0.031),
    "mouth corners' height": (0.0065, 0.0115),
    "right eye's opening": (0.0425, 0.0135),
    "left eye's opening": (0.0425, 0.0135),
    "gaze along": (0.0, 0.054),
    "gaze across": (-0.052, 0.031),
    "right brow's height": (0.1445, 0.0225),
    "left brow's height": (0.1445, 0.0225),
}
"""The numbers, each with its mean and standard deviation over clips of 28 people; canonical units, gaze in
eye widths."""


def expression_numbers(landmarks_BN3: Tensor, head_B44: Tensor, picture_px: int) -> Tensor:
    """What `NUMBERS` names, each less its mean and over its standard deviation.

    Args:
        landmarks_BN3: B x 478 x 3, pixels of a square picture. head_B44: head transforms (head/matrix.py).
        picture_px: side of the picture.

    Returns:
        B x 9 float32, without gradients; most are between -3 and 3.
    """
    with torch.no_grad(), full_precision(landmarks_BN3.device):
        points, head = landmarks_BN3.float(), head_B44.float()
        flat = (2 * points[..., :2] + 1) / picture_px - 1
        # Depths count from the head's origin, which their mean tells well enough: only differences are used below.
        deep = 2 * (points[..., 2:] - points[:, : lm.MESH, 2:].mean(dim=1, keepdim=True)) / picture_px
        placed = torch.cat([flat, deep], dim=-1) - head[:, None, :3, 3]
        still = placed @ torch.linalg.inv_ex(head[:, :3, :3]).inverse.mT

        def apart(one: int, other: int) -> Tensor:
            distance: Tensor = (still[:, one] - still[:, other]).norm(dim=-1)
            return distance

        right, left, above, below, *outer = _MOUTH
        lips, corners = (still[:, above, 1] + still[:, below, 1]) / 2, chosen(still, outer)[..., 1].mean(dim=1)
        eyes, along, across, brows = [], [], [], []
        for upper, lower, iris, brow in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, _BROWS, strict=True):
            ends = chosen(still, [upper[0], upper[-1]])
            width = (ends[:, 0] - ends[:, 1]).norm(dim=-1).clamp(min=1e-4)
            eyes.append((chosen(still, upper[3:6]) - chosen(still, lower[3:6])).norm(dim=-1).mean(dim=1))
            offset = (still[:, iris] - ends.mean(dim=1)) / width[:, None]
            along.append(offset[:, 0])
            across.append(offset[:, 1])
            brows.append(ends[..., 1].mean(dim=1) - still[:, brow, 1])
        numbers = [apart(above, below), apart(right, left), lips - corners, *eyes,
                   torch.stack(along).mean(dim=0), torch.stack(across).mean(dim=0), *brows]  # fmt: skip
        usual = constant(list(NUMBERS.values()), still)
        return (torch.stack(numbers, dim=1) - usual[:, 0]) / usual[:, 1]
