"""Augmentation of training samples, on the device, in batches (MegaPortraits, training of the base model).

Every sample has a seed of its own, and all that happens to it follows from that: not from the batch around it, the
number of processes, or what came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.training.augment import color as augment_color
from avatarkit.training.augment import shape as augment_shape
from avatarkit.training.augment.color import DRIVER_COLORS, PAIR_COLORS, ColorStrength, change_colors, color_change
from avatarkit.training.augment.flip import flip_frame
from avatarkit.training.augment.shape import ShapeStrength, change_shape

__all__ = ["augment_driver", "augment_pair"]

_CLIPS = (("source", "driver"), ("other_source", "other_driver"))
_FLIP_SHARE = 0.5


def augment_pair(
    batch: Mapping[str, Any], seeds: Tensor, colors: ColorStrength = PAIR_COLORS, flip_share: float = _FLIP_SHARE
) -> dict[str, Any]:
    """Jitter colours and turn frames over; both frames of a clip alike, each clip on its own.

    Args:
        batch: frames under "source", "driver" and, where there are any, "other_source", "other_driver"; each a
            mapping as `flip_frame` takes it, with pictures as uint8 or as float in [0, 1]. Other entries pass.
        seeds: B int64, one per sample.
        colors: how far colours change.
        flip_share: of the samples that are turned over.

    Returns:
        The batch with "image" and "matte" as float32 in [0, 1]; the given one is left as it is.

    Raises:
        UsageError: not one seed per sample, or a column that no rule of mirrors knows.
    """
    image = batch["source"]["image"]
    numbers = _draws(seeds, len(image), len(_CLIPS) * (1 + augment_color.DRAWS)).to(image.device, non_blocking=True)
    with torch.autocast(image.device.type, enabled=False):
        return {**batch, **_changed(batch, numbers, colors, flip_share)}


@torch.no_grad()
def augment_driver(
    crops: Tensor,
    landmarks: Tensor,
    seeds: Tensor,
    shape: ShapeStrength | None = None,
    colors: ColorStrength = DRIVER_COLORS,
) -> Tensor:
    """Another facial shape and strongly other colours, with the same expression, for the expression encoder.

    Args:
        crops: B x 3 x H x W float in [0, 1], cut around the face.
        landmarks: B x 478 x 2 or 3, pixels of the crops.
        seeds: B int64, one per sample.
        shape, colors: how far; `ShapeStrength()` by default.

    Returns:
        B x 3 x H x W in [0, 1], without gradients.

    Raises:
        UsageError: not one seed per sample.
    """
    draws = _draws(seeds, len(crops), augment_shape.DRAWS + augment_color.DRAWS).to(crops.device, non_blocking=True)
    of_shape, of_colors = torch.split(draws, [augment_shape.DRAWS, augment_color.DRAWS], dim=1)
    # Coordinates in half precision would tear the picture.
    with torch.autocast(crops.device.type, enabled=False):
        warped = change_shape(crops.float(), landmarks.float(), of_shape, shape or ShapeStrength())
        changed = change_colors(warped, color_change(of_colors, colors))
    return changed.to(crops.dtype)


def _changed(
    batch: Mapping[str, Any], numbers: Tensor, colors: ColorStrength, flip_share: float
) -> dict[str, dict[str, Tensor]]:
    result = {}
    for clip, draws in zip(_CLIPS, numbers.chunk(len(_CLIPS), dim=1), strict=True):
        change = color_change(draws[:, 1:], colors)
        for name in clip:
            if name in batch:
                frame = {column: _float(column, value) for column, value in batch[name].items()}
                frame["image"] = change_colors(frame["image"], change)
                result[name] = flip_frame(frame, draws[:, 0] < flip_share)
    return result


def _draws(seeds: Tensor, samples: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1), (B, count) float32 on the CPU, each row from its own generator."""
    if seeds.shape != (samples,):
        raise UsageError(f"seeds {tuple(seeds.shape)}: need one for each of {samples} samples")
    rows = []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(count, generator=generator))
    return torch.stack(rows)


def _float(column: str, value: Tensor) -> Tensor:
    return value.float() / 255 if column in ("image", "matte") and value.dtype == torch.uint8 else value
