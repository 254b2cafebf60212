"""Frames of a batch as the stages use them, and how predictions compare with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avatarkit.training.figures import l1, psnr_figures


def prepared(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch with "image" and "matte" of each frame as float in [0, 1]."""
    result: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            result[key] = prepared(value)
        elif key in ("image", "matte") and value.dtype == torch.uint8:
            result[key] = value.float() / 255
        else:
            result[key] = value
    return result


def compared(predicted: Tensor, driver: Mapping[str, Any], copied: Tensor | None = None) -> dict[str, Tensor]:
    """`psnr_figures`, and L1 inside the matte, per sample."""
    figures = psnr_figures(predicted, driver, copied)
    return {**figures, "l1": l1(predicted, driver["image"], driver["matte"])}


def both_frames(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Sources and drivers of a batch of pairs as twice as many single frames."""
    return {key: torch.cat([batch["source"][key], batch["driver"][key]]) for key in batch["source"]}
