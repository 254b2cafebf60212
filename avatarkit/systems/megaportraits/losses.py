"""Losses of MegaPortraits alone: cycle loss on motion codes, gaze loss, the enhancer's where no target exists.

Cycle: equations 6 and 7, after H. Wang et al., "CosFace: Large Margin Cosine Loss", CVPR 2018:
`d(a, b) = s (<a, b> - m)` with the cosine `<a, b>`, and for each positive pair `p` the loss is
`-log(exp d(p) / (exp d(p) + sum over negative pairs n of exp d(n)))`. Written so, with the margin on positives and
negatives alike, the margin cancels; CosFace's own form has it on the positive alone.

Gaze: L1 between a gaze net's features of the eyes of prediction and target. Gradients reach the prediction around the
eyes alone: the crops that the net sees hold brows and nose as well, and those are the business of other losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from avatarkit.devices import at_least_single, chosen
from avatarkit.errors import UsageError
from avatarkit.face.landmarks import UPPER_LIDS
from avatarkit.head.face_crop import eye_crops
from avatarkit.losses.foreground import check_same, foreground, l1, weighted_l1
from avatarkit.losses.perceptual import LAYER_WEIGHTS
from avatarkit.nets.features.vgg import FeatureNet

__all__ = ["EYE_CROP_PX", "CycleForm", "Pair", "cycle_loss", "downsampled_cycle", "eye_mask", "gaze_loss"]

CycleForm = Literal["megaportraits", "cosface"]
Pair = tuple[Tensor, Tensor]


def cycle_loss(
    positives: Sequence[Pair],
    negatives: Sequence[Pair],
    scale: float = 5.0,
    margin: float = 0.2,
    form: str = "megaportraits",
) -> Tensor:
    """Sum over the positive pairs of the loss of equation 7, averaged over the batch.

    Args:
        positives: pairs of motion codes (B x D each) that should point one way, such as (z_sd, z_d), (z_s*d, z_d).
        negatives: pairs that should not, such as (z_sd, z_d*), (z_s*d, z_d*).
        scale, margin: `s` and `m`.
        form: "megaportraits" (equations 6 and 7 as written) or "cosface" (no margin on the negatives).

    Returns:
        A scalar. Nothing is detached.

    Raises:
        UsageError: no pairs, codes of different shapes, or an unknown form.
    """
    if form not in get_args(CycleForm):
        raise UsageError(f"cycle loss of form {form}: use one of {', '.join(get_args(CycleForm))}")
    if not positives or not negatives:
        raise UsageError("cycle loss needs at least one positive and one negative pair")
    margin_of_negatives = margin if form == "megaportraits" else 0.0
    wanted = torch.stack([scale * (_cosine(pair) - margin) for pair in positives])
    unwanted = torch.stack([scale * (_cosine(pair) - margin_of_negatives) for pair in negatives])
    # P x B against N x B: log(1 + sum of exp(n - p)) for each positive and sample.
    rest = torch.logsumexp(unwanted, dim=0)
    return F.softplus(rest - wanted).sum(dim=0).mean()


def _cosine(pair: Pair) -> Tensor:
    check_same(*pair, "motion code", "motion code")
    first, second = map(at_least_single, pair)
    return F.cosine_similarity(first, second, dim=-1)


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
    outer, inner = (chosen(points, [lids[end] for lids in UPPER_LIDS]) for end in (0, -1))
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


_DOWN = 4  # of the base picture; twice that of the enhanced one


def downsampled_cycle(base_image: Tensor, enhanced: Tensor, matte: Tensor | None = None) -> Tensor:
    """L1 between the base picture at a quarter and the enhanced one at an eighth of its size.

    Where no sharp target exists, the enhancer must at least keep what the base model drew.

    Args:
        base_image: B x C x H x W, H and W multiples of 4; it gets no gradient.
        enhanced: B x C x 2H x 2W.
        matte: B x 1 x H x W in [0, 1] of the base picture.

    Returns:
        A scalar.

    Raises:
        UsageError: sizes that do not fit together.
    """
    height, width = base_image.shape[-2:]
    if enhanced.shape != (*base_image.shape[:2], 2 * height, 2 * width) or height % _DOWN or width % _DOWN:
        raise UsageError(
            f"base picture {tuple(base_image.shape)} and enhanced {tuple(enhanced.shape)}: the second must have twice "
            f"the first one's size, and that must divide by {_DOWN}"
        )
    small = F.avg_pool2d(base_image.detach(), _DOWN)
    return l1(F.avg_pool2d(enhanced, 2 * _DOWN), small, None if matte is None else F.avg_pool2d(matte, _DOWN))
