"""What all losses share: prediction and target of one size, foreground alone, distances.

All losses of MegaPortraits' base model see foreground only: both pictures are multiplied by the target's matte. Every
loss is the mean over the samples of what each sample gives alone, so that batches may be cut at will.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from avatarkit.devices import at_least_single
from avatarkit.errors import UsageError

__all__ = ["check_same", "foreground", "l1", "over_background", "weighted_l1"]


def foreground(prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Both pictures where the target shows foreground, zero elsewhere.

    Args:
        prediction, target: B x C x H x W.
        matte: B x 1 x H x W in [0, 1], the target's; None leaves both as they are.

    Raises:
        UsageError: sizes differ; the message gives them.
    """
    check_same(prediction, target, "prediction", "target")
    if matte is None:
        return prediction, target
    if matte.shape != (len(target), 1, *target.shape[-2:]):
        wanted = (len(target), 1, *target.shape[-2:])
        raise UsageError(f"matte {tuple(matte.shape)}: the target {tuple(target.shape)} needs {wanted}")
    return prediction * matte, target * matte


def over_background(prediction: Tensor, target: Tensor, matte: Tensor) -> Tensor:
    """The prediction's foreground before the target's background, for nets that know whole pictures alone.

    Args:
        prediction, target: B x C x H x W. matte: B x 1 x H x W in [0, 1], the target's.
    """
    check_same(prediction, target, "prediction", "target")
    return target + matte * (prediction - target)


def l1(prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
    """Mean absolute difference of the foreground, a scalar; shapes as in `foreground`."""
    prediction, target = foreground(prediction, target, matte)
    return (prediction - target).abs().mean()


def weighted_l1(maps: Sequence[Tensor], wanted: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum over feature maps of each one's weight times its mean absolute difference, a scalar."""
    parts = [
        weight * (at_least_single(item) - at_least_single(other)).abs().mean()
        for item, other, weight in zip(maps, wanted, weights, strict=True)
    ]
    return sum(parts[1:], parts[0])


def check_same(one: Tensor, other: Tensor, name: str, other_name: str) -> None:
    """Raise UsageError unless both have one shape."""
    if one.shape != other.shape:
        shapes = f"{name} {tuple(one.shape)} and {other_name} {tuple(other.shape)}"
        raise UsageError(f"{shapes} differ; give them one shape")
