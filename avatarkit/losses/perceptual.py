"""Perceptual loss: L1 between the feature maps of prediction and target (MegaPortraits, losses of the base model).

The weights of the layers and the pyramid of scales are not published for MegaPortraits. Those here are T.-C. Wang
et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018 (choice).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.losses.foreground import foreground, weighted_l1
from avatarkit.nets.features.vgg import SMALLEST_PX, FeatureNet

__all__ = ["LAYER_WEIGHTS", "perceptual"]

LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1 to relu5_1."""


def perceptual(
    net: FeatureNet,
    prediction: Tensor,
    target: Tensor,
    matte: Tensor | None = None,
    *,
    weights: Tensor | None = None,
    scales: int = 1,
    layer_weights: Sequence[float] = LAYER_WEIGHTS,
) -> Tensor:
    """L1 between feature maps, summed over layers by weight, averaged over scales.

    Args:
        net: whose feature maps are compared.
        prediction, target: B x 3 x H x W, RGB in [0, 1]; gradients go to the prediction alone.
        matte: B x 1 x H x W in [0, 1], the target's.
        weights: B x 1 x H x W, how much each place counts, averaged over what a feature covers; see `head.regions`.
        scales: pictures of a pyramid, the first at full size, each next one half the size.
        layer_weights: of the net's feature maps.

    Returns:
        A scalar.

    Raises:
        UsageError: sizes differ, or the smallest picture of the pyramid is under 16 pixels.
    """
    side = min(prediction.shape[-2:])
    if scales < 1 or side >> (scales - 1) < SMALLEST_PX:
        raise UsageError(
            f"perceptual loss at {scales} scales of {side} px: give at least 1, and at most so many that the "
            f"smallest has {SMALLEST_PX} px"
        )
    prediction, target = foreground(prediction, target, matte)
    total = prediction.new_zeros(())
    for scale in range(scales):
        if scale:
            prediction, target = F.avg_pool2d(prediction, 2), F.avg_pool2d(target, 2)
        with torch.no_grad():
            wanted = net(target)
        seen = net(prediction)
        if weights is not None:
            shares = [F.interpolate(weights, item.shape[-2:], mode="area").to(item.dtype) for item in wanted]
            seen = [item * share for item, share in zip(seen, shares, strict=True)]
            wanted = [item * share for item, share in zip(wanted, shares, strict=True)]
        total = total + weighted_l1(seen, wanted, layer_weights)
    return total / scales
