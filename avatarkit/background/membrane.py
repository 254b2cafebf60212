"""Smooth continuation of known pixels into unknown ones: a linear trend and a harmonic membrane."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_smooth", "linear_trend", "masked_blur"]

Array = NDArray[np.float32]

_SMALLEST_PX = 4
_PASSES, _COARSE_PASSES, _COARSE_PX = 16, 64, 128
_FEWEST_SIGMA_PX = 4.0
"""Reduced pictures are blurred by at least this: below, means of few known pixels would stand out."""
_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def fill_smooth(image: Array, known: Array) -> Array:
    """Fill unknown pixels with the membrane that the known ones span (Laplace's equation, free border).

    Args:
        image: H x W x C float32; values at unknown pixels do not matter.
        known: H x W float32, 1 where known, 0 where not (at least one pixel known).

    Returns:
        H x W x C float32, equal to `image` where known.
    """
    height, width = known.shape
    mask = known[..., None]
    if max(height, width) <= _SMALLEST_PX or known.all():
        mean = (image * mask).sum((0, 1)) / max(float(known.sum()), 1e-6)
        filled = np.where(mask > 0, image, mean).astype(np.float32)
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        mass = np.asarray(cv2.resize(known, half, interpolation=cv2.INTER_AREA), np.float32)
        total = cv2.resize(image * mask, half, interpolation=cv2.INTER_AREA).reshape(*mass.shape, -1)
        coarse = fill_smooth(total / np.maximum(mass, 1e-6)[..., None], (mass > 0).astype(np.float32))
        up = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
        filled = np.where(mask > 0, image, up).astype(np.float32)
    for _ in range(_COARSE_PASSES if max(height, width) <= _COARSE_PX else _PASSES):
        near = cv2.filter2D(filled, -1, _CROSS, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
        filled = np.where(mask > 0, image, near).astype(np.float32)
    return filled


def masked_blur(image: Array, known: Array, sigma_px: float) -> Array:
    """Return the Gaussian mean of the known pixels around each pixel, H x W x C float32; 0 where there is none.

    Args:
        image: H x W x C float32. known: H x W float32, 1 where known.
        sigma_px: of the Gaussian.
    """
    height, width = known.shape
    sums = cv2.merge([*cv2.split(image * known[..., None]), known])
    # What a wide Gaussian leaves has nothing finer than a small picture holds.
    step = max(1, min(int(sigma_px / _FEWEST_SIGMA_PX), min(height, width) // 64))
    if step > 1:
        sums = cv2.resize(sums, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(sums, (0, 0), sigma_px / step)
    if step > 1:
        soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    *total, mass = cv2.split(soft)
    mean = np.asarray(cv2.merge(total), np.float32).reshape(image.shape)
    return np.asarray(mean / np.maximum(mass, np.float32(1e-6))[..., None], np.float32)


def linear_trend(image: Array, known: Array) -> Array:
    """Fit a plane per channel to the known pixels.

    Args:
        image: H x W x C float32.
        known: H x W float32, 1 where known.

    Returns:
        H x W x C float32, the plane over the whole picture.
    """
    height, width = known.shape
    x = np.linspace(-1, 1, width, dtype=np.float32) if width > 1 else np.zeros(1, np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32) if height > 1 else np.zeros(1, np.float32)
    step = max(1, max(height, width) // 128)
    rows, columns = np.nonzero(known[::step, ::step])
    if rows.size == 0:
        return np.zeros_like(image)
    basis = np.stack([x[::step][columns], y[::step][rows]], 1)
    samples = image[::step, ::step][rows, columns]
    center, level = basis.mean(0), samples.mean(0)
    plane, *_ = np.linalg.lstsq(basis - center, samples - level, rcond=None)
    slope_x, slope_y = plane.astype(np.float32)
    across = (x - np.float32(center[0]))[None, :, None] * slope_x
    down = (y - np.float32(center[1]))[:, None, None] * slope_y
    return np.asarray(level + across + down, np.float32)
