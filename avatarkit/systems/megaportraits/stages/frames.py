"""Frames of a batch as the stages use them, and how predictions compare with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avatarkit.training.figures import face_mask, l1, psnr_db


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
    """PSNR and L1 inside the matte and inside the face's hull, per sample; also of another picture `copied`."""
    target, matte = driver["image"], driver["matte"]
    face = face_mask(driver["landmarks"], *target.shape[-2:])
    result = {
        "psnr_db": psnr_db(predicted, target, matte),
        "face_psnr_db": psnr_db(predicted, target, face),
        "l1": l1(predicted, target, matte),
    }
    if copied is not None:
        result["copy_face_psnr_db"] = psnr_db(copied, target, face)
    return result


def both_frames(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Sources and drivers of a batch of pairs as twice as many single frames."""
    return {key: torch.cat([batch["source"][key], batch["driver"][key]]) for key in batch["source"]}
