"""How near a picture is to its target, pixel by pixel, over all of it or inside a mask.

All take RGB uint8 (H, W, 3) of one size. A mask is (H, W) in [0, 1]: how much each pixel counts; what is measured is a
weighted mean, so that a mask of ones gives the plain figure.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError

__all__ = ["PERFECT_DB", "l1", "masked_mean", "psnr_db", "ssim", "ssim_map"]

Picture = NDArray[np.uint8]
Mask = NDArray[np.floating[Any]] | None
PERFECT_DB = 100.0
"""PSNR of equal pictures, which has no bound: a figure that means and tables can bear."""
_SIGMA, _BORDER = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr_db(picture: Picture, target: Picture, mask: Mask = None) -> float:
    """Peak signal-to-noise ratio in dB, from about 5 to `PERFECT_DB`; higher is nearer.

    Definition: 10 log10(255^2 / mean squared error), the mean over pixels and channels.

    Raises:
        UsageError: sizes differ, or the mask is empty.
    """
    error = _weighted(_difference(picture, target) ** 2, mask)
    return PERFECT_DB if error == 0 else min(PERFECT_DB, 10 * math.log10(255.0**2 / error))


def l1(picture: Picture, target: Picture, mask: Mask = None) -> float:
    """Mean absolute difference over pixels and channels, as a share of 255: 0 for equal ones, at most 1."""
    return _weighted(np.abs(_difference(picture, target)), mask) / 255.0


def ssim(picture: Picture, target: Picture, mask: Mask = None) -> float:
    """Structural similarity from -1 to 1, 1 for equal pictures; higher is nearer: the mean of `ssim_map`.

    Raises:
        UsageError: sizes differ, are under 11 px, or the mask is empty.
    """
    return masked_mean(ssim_map(picture, target), mask)


def ssim_map(picture: Picture, target: Picture) -> NDArray[np.float64]:
    """Structural similarity of each pixel (H, W), mean over channels; NaN on a border of half a window, 5 px.

    Definition: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP
    2004, with their Gaussian window (sigma 1.5) and constants; as scikit-image's, in a quarter of its time.

    Raises:
        UsageError: sizes differ, or are under 11 px.
    """
    import cv2

    if picture.shape != target.shape:
        raise _of_two_sizes(picture, target)
    if min(picture.shape[:2]) < 2 * _BORDER + 1:
        raise UsageError(f"SSIM of {picture.shape[1]} x {picture.shape[0]} px: its window has {2 * _BORDER + 1}")
    # In single precision: equal to four digits, in a third of the time.
    x, y = picture.astype(np.float32), target.astype(np.float32)
    window = cv2.getGaussianKernel(2 * _BORDER + 1, _SIGMA, cv2.CV_32F)
    mean_x, mean_y, xx, yy, xy = (cv2.sepFilter2D(item, -1, window, window) for item in (x, y, x * x, y * y, x * y))
    both, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    likeness = (2 * both + _C1) * (2 * (xy - both) + _C2) / ((squares + _C1) * (xx + yy - squares + _C2))
    result = np.full(picture.shape[:2], np.nan)
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    result[inner] = likeness[inner].mean(axis=2)
    return result


def masked_mean(values: NDArray[np.float64], mask: Mask = None) -> float:
    """Mean of a map (H, W) where it is known (not NaN), weighted by a mask; UsageError for an empty one."""
    known = ~np.isnan(values)
    return _weighted(values[known][:, None, None], None if mask is None else np.asarray(mask)[known][:, None])


def _weighted(values: NDArray[np.float64], mask: Mask) -> float:
    if mask is None:
        return float(values.mean())
    total = float(mask.sum())
    if mask.shape != values.shape[:2] or not total > 0:
        raise UsageError(f"mask of {mask.shape}: a mask of {values.shape[:2]} that is not empty is needed")
    return float(np.einsum("hwc,hw->", values, mask) / (total * values.shape[2]))


def _difference(picture: Picture, target: Picture) -> NDArray[np.float64]:
    if picture.shape != target.shape:
        raise _of_two_sizes(picture, target)
    return picture.astype(np.float64) - target


def _of_two_sizes(picture: Picture, target: Picture) -> UsageError:
    return UsageError(f"pictures of {picture.shape} and {target.shape}: give two of one size")
