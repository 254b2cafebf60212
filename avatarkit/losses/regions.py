"""Losses of single parts: inside a mask, between identity vectors, between styles of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from avatarkit.devices import at_least_single
from avatarkit.losses.foreground import check_same

__all__ = ["cosface", "identity_loss", "region_loss", "style_loss"]

_EPS = 1e-6


def region_loss(prediction: Tensor, target: Tensor, mask: Tensor, *, squared: bool = False) -> Tensor:
    """Difference inside a region, whatever its size: sum(mask x d) / sum(mask), d summed over channels.

    Args:
        prediction, target: B x C x H x W. mask: B x 1 x H x W in [0, 1]. squared: squares in place of absolute values.

    Returns:
        A scalar, the mean over the samples; of one with an empty mask it is 0.

    Source: MetaPortrait (CVPR 2023), losses of eyes and mouth, L1; the authors' release squares.
    """
    check_same(prediction, target, "prediction", "target")
    difference = at_least_single(prediction) - at_least_single(target)
    size = difference**2 if squared else difference.abs()
    each = (mask * size).sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) + _EPS)
    return each.mean()


def identity_loss(drawn_BE: Tensor, wanted_BE: Tensor) -> Tensor:
    """1 - cosine of identity vectors, averaged; a scalar, with gradients to the first alone."""
    return (1 - F.cosine_similarity(drawn_BE.float(), wanted_BE.detach().float(), dim=1)).mean()


def style_loss(maps: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Sum over feature maps of the mean absolute difference of their Gram matrices, per channel and pixel; a scalar."""
    parts = [(_gram(item) - _gram(other)).abs().mean() for item, other in zip(maps, wanted, strict=True)]
    return torch.stack(parts).sum()


def _gram(features: Tensor) -> Tensor:
    flat = at_least_single(features).flatten(2)
    return flat @ flat.mT / (flat.shape[1] * flat.shape[2])


def cosface(cosines_BK: Tensor, labels_B: Tensor, scale: float, margin: float) -> Tensor:
    """Cross entropy over people whose own cosine must win by a margin; a scalar.

    H. Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, equation 4.

    Args:
        cosines_BK: of each sample and each of K people. labels_B: who it is.
    """
    own = F.one_hot(labels_B, cosines_BK.shape[1]).to(cosines_BK.dtype)
    return F.cross_entropy(scale * (cosines_BK.float() - margin * own), labels_B)
