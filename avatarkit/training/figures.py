"""Figures of validation: how near a picture is to its target, within the face or within the matte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

SMALLEST_ERROR = 1e-10
"""Mean squared error below which PSNR stays at 100 dB."""


def psnr_db(predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture, (B,), in dB.

    Args:
        predicted, target: (B, 3, H, W) in [0, 1]. mask: (B, 1, H, W), what counts and how much; all by default.
    """
    squared = (predicted.float().clamp(0, 1) - target.float()) ** 2
    error = masked_mean(squared, mask)
    return -10 * torch.log10(error.clamp_min(SMALLEST_ERROR))


def l1(predicted: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference of each picture, (B,); arguments as `psnr_db`."""
    return masked_mean((predicted.float() - target.float()).abs(), mask)


def psnr_figures(predicted: Tensor, frame: Mapping[str, Any], copied: Tensor | None = None) -> dict[str, Tensor]:
    """PSNR inside the matte ("psnr_db") and inside the face's hull ("face_psnr_db"), (B,) each.

    Args:
        predicted: (B, 3, H, W). frame: what it should show: "image" and "matte" in [0, 1], "landmarks" in pixels.
        copied: another picture, measured in the face as "copy_face_psnr_db".
    """
    target, face = frame["image"], face_mask(frame["landmarks"], *frame["image"].shape[-2:])
    result = {"psnr_db": psnr_db(predicted, target, frame["matte"]), "face_psnr_db": psnr_db(predicted, target, face)}
    return result if copied is None else {**result, "copy_face_psnr_db": psnr_db(copied, target, face)}


def masked_mean(values_BCHW: Tensor, mask_B1HW: Tensor | None) -> Tensor:
    """Mean over channels and pixels of each sample, (B,), weighted by the mask; 0 where the mask is empty."""
    if mask_B1HW is None:
        return values_BCHW.mean(dim=(1, 2, 3))
    weights = mask_B1HW.float().expand_as(values_BCHW)
    return (values_BCHW * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3)).clamp_min(1e-6)


def face_mask(landmarks_BNk: Tensor, height: int, width: int) -> Tensor:
    """The convex hull of the landmarks, (B, 1, H, W) float 0 or 1, on the landmarks' device.

    Args:
        landmarks_BNk: (B, N, 2 or 3) in pixels of the picture, centres at integers.
    """
    points = landmarks_BNk[..., :2].detach().cpu().numpy().astype(np.float64)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(height * width)])
    masks = [_inside(hull, pixels).reshape(1, height, width) for hull in points]
    return torch.from_numpy(np.stack(masks)).to(landmarks_BNk.device, torch.float32)


def _inside(points: NDArray[np.float64], pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    try:
        sides = ConvexHull(points).equations
    except QhullError:
        return np.zeros(pixels.shape[1], dtype=bool)  # all points on a line: no face
    return np.asarray((sides @ pixels <= 1e-9).all(axis=0))
