"""Loss of the enhancer where no sharp target exists (MegaPortraits, high-resolution model).

The supervised group takes `foreground.l1` and the adversarial loss.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.losses.foreground import l1

__all__ = ["downsampled_cycle"]

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
