"""Turning frames over left to right, with everything that is known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from avatarkit.devices import chosen, constant
from avatarkit.errors import UsageError
from avatarkit.face.mirror import MIRROR

__all__ = ["flip_frame"]


def flip_frame(frame: Mapping[str, Tensor], flipped: Tensor) -> dict[str, Tensor]:
    """Turn over the frames of a batch that are marked.

    Args:
        frame: columns of a frame, each with the batch in front: "image" and "matte" (B x C x H x W), "landmarks"
            (B x 478 x 2 or 3, pixels), "head" (B x 4 x 4), "gaze" (B x 2 x 2), "eye_opening" (B x 2), "lines"
            (B x 2 x 3 x s x s), and columns that a mirror leaves as they are. Eyes come right, left: the person's,
            who is another one in a mirror.
        flipped: B bool.

    Returns:
        The same columns.

    Raises:
        UsageError: a column for which no rule is known.
    """
    width = frame["image"].shape[-1]
    result = {}
    for name, value in frame.items():
        if name not in _RULES:
            raise UsageError(f"frame column {name}: not known how it looks in a mirror; add a rule to augment_flip")
        turned = flipped.to(value.device).reshape(-1, *[1] * (value.dim() - 1))
        result[name] = torch.where(turned, _RULES[name](value, width), value)
    return result


def _picture(image: Tensor, width: int) -> Tensor:
    return image.flip(-1)


def _landmarks(points: Tensor, width: int) -> Tensor:
    turned = chosen(points, MIRROR.tolist())
    turned[..., 0] = width - 1 - turned[..., 0]
    return turned


def _head(matrix: Tensor, width: int) -> Tensor:
    """A mirrored head is the canonical volume mirrored, and so is its picture: D M D with D = diag(-1, 1, 1, 1)."""
    mirror = constant([-1.0, 1.0, 1.0, 1.0], matrix)
    return matrix * mirror[:, None] * mirror


def _gaze(gaze: Tensor, width: int) -> Tensor:
    """Offsets run along the eye towards larger x, and across it."""
    return gaze.flip(1) * constant([-1.0, 1.0], gaze)


def _eyes(openings: Tensor, width: int) -> Tensor:
    return openings.flip(1)


def _same(values: Tensor, width: int) -> Tensor:
    return values


_RULES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "image": _picture,
    "matte": _picture,
    "landmarks": _landmarks,
    "head": _head,
    "gaze": _gaze,
    "eye_opening": _eyes,
    "lines": _eyes,  # the frame's, then those of its mirror image
    "mouth_opening": _same,
    "time_s": _same,
    "score": _same,
}
