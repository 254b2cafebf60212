"""Pixel loss: L1 of colours and of their gradients at several scales.

It is not part of MegaPortraits. It trains where no perceptual weights are at hand: colours alone come out blurred,
and the gradients ask for edges.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.losses.foreground import foreground

__all__ = ["gradient_l1", "pixel_loss"]


def pixel_loss(
    prediction: Tensor,
    target: Tensor,
    matte: Tensor | None = None,
    *,
    weights: Tensor | None = None,
    scales: int = 3,
    gradient_weight: float = 1.0,
) -> Tensor:
    """Mean absolute difference of colours, plus that of gradients averaged over scales.

    Args:
        prediction, target: B x C x H x W in [0, 1].
        matte: B x 1 x H x W in [0, 1], the target's.
        weights: B x 1 x H x W, how much each pixel's difference counts; see `head.regions`.
        scales: pictures of a pyramid for the gradients, each half the size of the one before.
        gradient_weight: of the gradients' part.

    Returns:
        A scalar.

    Raises:
        UsageError: sizes differ, or the smallest picture of the pyramid is under 2 pixels.
    """
    side = min(prediction.shape[-2:])
    if scales < 1 or side >> (scales - 1) < 2:
        raise UsageError(
            f"pixel loss at {scales} scales of {side} px: give at least 1, and at most so many that the smallest "
            "has 2 px"
        )
    prediction, target = foreground(prediction, target, matte)
    difference = prediction - target
    if weights is not None:
        difference = difference * weights
    colours = difference.abs().mean()
    gradients = difference.new_zeros(())
    for scale in range(scales):
        if scale:
            difference = F.avg_pool2d(difference, 2)
        gradients = gradients + gradient_l1(difference)
    return colours + gradient_weight * gradients / scales


def gradient_l1(difference: Tensor) -> Tensor:
    """Mean absolute step to the next pixel, right plus down, of a difference of pictures B x C x H x W."""
    # Gradients are linear: those of the difference are the difference of the gradients.
    across = difference[..., :, 1:] - difference[..., :, :-1]
    down = difference[..., 1:, :] - difference[..., :-1, :]
    return across.abs().mean() + down.abs().mean()
