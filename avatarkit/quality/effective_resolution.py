"""How much resolution a picture really has: an enlarged one has more pixels than detail.

Two estimates, of which the smaller counts:
- Edges: the blur of the sharpest edges, from the ratio of their gradients under two smoothings. A step blurred by b has
  a gradient of 1 / sqrt(b^2 + s^2) under a smoothing of s (as S. Zhuo, T. Sim, "Defocus map estimation from a single
  image", Pattern Recognition 44, 2011). Compression hardly changes it.
- Spectrum: how far from zero the power stands up to what natural pictures have (a fall with the third power of the
  frequency), less the noise that the highest diagonal frequencies show. It sees clean enlargements of very crisp
  pictures, which leave edges narrow and cut the spectrum off.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["edge_blur_px", "edge_share", "effective_share", "spectral_share"]

Array = NDArray[np.float32]

_FINE_PX, _COARSE_PX = 0.7, 2.5
_STRONG, _SHARPEST = 0.06, 0.95
# Measured: pictures crisp to the pixel have a blur of 0.6 by this estimate, three-fold enlargements 1.26.
_CRISP_PX, _FALL = 0.6, 1.5
_BINS, _SLOPE = 32, 3.0
_REFERENCE = (0.05, 0.1)  # cycles a pixel in which enlargements up to five-fold keep their power
_DROP, _SOFT = 1.0, 0.3  # decades under the usual power at which detail counts as missing, and half the transition
_CORNER = 0.42
_LONGEST_PX, _SHORTEST_PX = 512, 32


def effective_share(region_rgb: NDArray[np.uint8]) -> float:
    """The share of its own resolution that a picture really has, 0 to 1: 1 is crisp, 1/3 a three-fold enlargement.

    Args:
        region_rgb: H x W x 3 uint8 at its original resolution, such as a face; of a large one the middle is used.
            Under 32 pixels there is nothing to measure: 1.
    """
    height, width = region_rgb.shape[:2]
    side = min(height, width, _LONGEST_PX)
    if side < _SHORTEST_PX:
        return 1.0
    top, left = (height - side) // 2, (width - side) // 2
    part = np.ascontiguousarray(region_rgb[top : top + side, left : left + side])
    grey = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.float32)
    return min(edge_share(grey), spectral_share(grey))


def edge_share(grey: Array) -> float:
    """The share by the blur of the sharpest edges; `grey` is float32 (n, n), 0 to 255."""
    return min(1.0, float((_CRISP_PX / max(edge_blur_px(grey), 1e-3)) ** _FALL))


def edge_blur_px(grey: Array) -> float:
    """The blur of the sharpest edges, a standard deviation in pixels: about 0.6 where they are crisp; 0.6 of no edges.

    Args:
        grey: float32 (h, w), 0 to 255.
    """
    fine, coarse = (_gradient(grey, sigma) for sigma in (_FINE_PX, _COARSE_PX))
    size = np.hypot(coarse[0], coarse[1])
    strong = (size >= np.quantile(size, 1.0 - _STRONG)) & (size > 1e-3)
    if not strong.any():
        return _CRISP_PX
    # Along the coarse gradient: what noise adds across it does not count.
    along = (fine[0] * coarse[0] + fine[1] * coarse[1])[strong] / size[strong]
    ratio = max(float(np.quantile(along / size[strong], _SHARPEST)) ** 2, 1.0001)
    return float(np.sqrt(max(0.0, (_COARSE_PX**2 - ratio * _FINE_PX**2) / (ratio - 1.0))))


def _gradient(grey: Array, sigma: float) -> tuple[Array, Array]:
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def spectral_share(grey: Array) -> float:
    """The share by the power spectrum's fall; `grey` is float32 (n, n), 0 to 255."""
    frequency, power, noise = _spectrum(grey)
    reference = (frequency >= _REFERENCE[0]) & (frequency < _REFERENCE[1])
    level = np.mean(np.log10(power[reference] + 1e-9) + _SLOPE * np.log10(frequency[reference]))
    usual = level - _SLOPE * np.log10(frequency)
    missing = usual - np.log10(np.maximum(power - noise, 1e-9))
    kept = np.clip((_DROP + _SOFT - missing) / (2.0 * _SOFT), 0.0, 1.0)
    kept[frequency < _REFERENCE[1]] = 1.0
    return float(kept.mean())


def _spectrum(grey: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Frequencies in cycles a pixel, power near the two axes at each, and the noise's power."""
    side = len(grey)
    window = np.hanning(side)
    spectrum = np.fft.rfft2((grey - grey.mean()) * window[:, None] * window)
    power = np.abs(spectrum) ** 2 / float((window**2).sum()) ** 2
    down, right = np.abs(np.fft.fftfreq(side))[:, None], np.fft.rfftfreq(side)[None, :]
    high, low = np.maximum(down, right), np.minimum(down, right)
    # Enlarging works along rows and columns, hence sectors about the axes; on the axes themselves lie the borders.
    sector = (low > 1.5 / side) & (low < 0.5 * high)
    bins = np.minimum((high[sector] * 2 * _BINS).astype(int), _BINS - 1)
    counts = np.maximum(np.bincount(bins, minlength=_BINS), 1)
    means = np.bincount(bins, power[sector], minlength=_BINS) / counts
    return (np.arange(_BINS) + 0.5) / (2 * _BINS), means, float(np.median(power[low > _CORNER]))
