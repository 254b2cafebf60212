"""Guided filter: smooths a map so that its edges follow a picture's edges.

Source: K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013, eq. 11-16 (grey) and 19-20 (colour);
coefficients applied at another resolution as in "Fast Guided Filter", 2015.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError

__all__ = ["guided_filter", "guided_upsample"]

Array = NDArray[np.float32]

_STRIP_PX = 256


def guided_filter(
    guide: NDArray[np.uint8] | Array,
    target: Array,
    radius_px: int,
    eps: float,
    weight: Array | None = None,
) -> Array:
    """Filter `target` with the local linear model of `guide`.

    Args:
        guide: H x W or H x W x 3; uint8, or float32 in [0, 1].
        target: H x W float32.
        radius_px: the window is (2 radius + 1) squared; borders are mirrored.
        eps: regularisation, as variance of a guide in [0, 1] (1e-4 keeps fine edges, 1e-2 smooths).
        weight: H x W float32 >= 0, how much each pixel of `target` counts; None counts all alike.

    Returns:
        H x W float32, not clipped.

    Raises:
        UsageError: the sizes differ, or radius or eps are not positive.
    """
    guide_f = _as_float(guide)
    slope, offset = _coefficients(guide_f, target, radius_px, eps, weight)
    return _linear(guide_f, slope, offset)


def guided_upsample(
    guide: NDArray[np.uint8], low_guide: NDArray[np.uint8], low_target: Array, radius_px: int, eps: float
) -> Array:
    """Bring a low-resolution map to the size of `guide`, with that picture's edges.

    The linear model is fitted at the low resolution and applied strip by strip, so that memory stays small.

    Args:
        guide: H x W x 3 uint8.
        low_guide: h x w x 3 uint8, the same picture scaled down.
        low_target: h x w float32 in [0, 1].
        radius_px: window radius in low-resolution pixels.
        eps: as for `guided_filter`.

    Returns:
        H x W float32 in [0, 1].
    """
    slope, offset = _coefficients(_as_float(low_guide), low_target, radius_px, eps, None)
    model = np.dstack([slope, offset])
    height, width = guide.shape[:2]
    low_height, low_width = low_target.shape
    out = np.empty((height, width), np.float32)
    columns = ((np.arange(width, dtype=np.float32) + 0.5) * (low_width / width) - 0.5)[None, :]
    for top in range(0, height, _STRIP_PX):
        bottom = min(top + _STRIP_PX, height)
        rows = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * (low_height / height) - 0.5)[:, None]
        shape = (bottom - top, width)
        remapped = cv2.remap(
            model,
            np.ascontiguousarray(np.broadcast_to(columns, shape)),
            np.ascontiguousarray(np.broadcast_to(rows, shape)),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        strip: Array = np.asarray(remapped, np.float32)
        value = _linear(_as_float(guide[top:bottom]), strip[..., :-1], strip[..., -1])
        out[top:bottom] = np.clip(value, 0.0, 1.0)
    return out


def _as_float(guide: NDArray[np.uint8] | Array) -> Array:
    """Return the guide as float32 around zero (centred, so that variances keep their digits)."""
    scale = 1.0 / 255.0 if guide.dtype == np.uint8 else 1.0
    out: Array = guide.astype(np.float32) * np.float32(scale) - np.float32(0.5)
    return out if out.ndim == 3 else out[..., None]


def _box(image: Array, radius_px: int) -> Array:
    size = 2 * radius_px + 1
    out = cv2.boxFilter(image, cv2.CV_32F, (size, size), borderType=cv2.BORDER_REFLECT)
    return np.asarray(out, dtype=np.float32).reshape(image.shape)


def _linear(guide: Array, slope: Array, offset: Array) -> Array:
    out: Array = np.einsum("hwc,hwc->hw", guide, slope, dtype=np.float32) + offset
    return out


def _coefficients(
    guide: Array, target: Array, radius_px: int, eps: float, weight: Array | None
) -> tuple[Array, Array]:
    """Return the averaged slope (H x W x C) and offset (H x W) of the local linear model."""
    if guide.shape[:2] != target.shape or (weight is not None and weight.shape != target.shape):
        raise UsageError(f"guide {guide.shape[:2]} and target {target.shape} differ; give maps of one size")
    if radius_px < 1 or eps <= 0:
        raise UsageError(f"radius_px {radius_px} and eps {eps} must be positive")
    channels = guide.shape[2]
    if weight is None:
        mass: Array | float = 1.0
        weighted = guide
    else:
        mass = np.maximum(_box(weight, radius_px), np.float32(1e-6))
        weighted = guide * weight[..., None]
        target = target * weight
    mean = _box(weighted, radius_px) / (mass if weight is None else np.asarray(mass)[..., None])
    mean_target = _box(target, radius_px) / mass
    covariance = [
        _box(guide[..., c] * target, radius_px) / mass - mean[..., c] * mean_target for c in range(channels)
    ]
    variance = {
        (i, j): _box(guide[..., i] * weighted[..., j], radius_px) / mass - mean[..., i] * mean[..., j]
        for i in range(channels)
        for j in range(i, channels)
    }
    slope = _solve(variance, covariance, eps)
    offset = mean_target - np.einsum("hwc,hwc->hw", slope, mean, dtype=np.float32)
    return _average(slope, offset, radius_px, None if weight is None else np.asarray(mass))


def _average(slope: Array, offset: Array, radius_px: int, mass: Array | None) -> tuple[Array, Array]:
    """Average the models of all windows that cover a pixel; windows that saw little weight count little."""
    if mass is None:
        return _box(slope, radius_px), _box(offset, radius_px)
    norm = _box(mass, radius_px)
    return _box(slope * mass[..., None], radius_px) / norm[..., None], _box(offset * mass, radius_px) / norm


def _solve(variance: dict[tuple[int, int], Array], covariance: list[Array], eps: float) -> Array:
    """Solve (variance + eps I) slope = covariance for 1 or 3 channels per pixel."""
    if len(covariance) == 1:
        return np.asarray(covariance[0] / (variance[0, 0] + np.float32(eps)))[..., None]
    rr, gg, bb = (variance[i, i] + np.float32(eps) for i in range(3))
    rg, rb, gb = variance[0, 1], variance[0, 2], variance[1, 2]
    inv_rr, inv_gg, inv_bb = gg * bb - gb * gb, rr * bb - rb * rb, rr * gg - rg * rg
    inv_rg, inv_rb, inv_gb = rb * gb - rg * bb, rg * gb - rb * gg, rg * rb - rr * gb
    det = rr * inv_rr + rg * inv_rg + rb * inv_rb
    det = np.maximum(det, np.float32(eps) ** 3)
    cr, cg, cb = covariance
    slope = np.empty((*cr.shape, 3), np.float32)
    slope[..., 0] = (inv_rr * cr + inv_rg * cg + inv_rb * cb) / det
    slope[..., 1] = (inv_rg * cr + inv_gg * cg + inv_gb * cb) / det
    slope[..., 2] = (inv_rb * cr + inv_gb * cg + inv_bb * cb) / det
    return slope
