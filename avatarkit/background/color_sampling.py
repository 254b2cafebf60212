"""Matte of an unknown band from colour samples of its known neighbours.

Each unknown pixel tries pairs of nearby foreground and background colours; a pair that mixes to the pixel's
colour says how much of the foreground is seen. Pairs vote by how well they explain the pixel, so that no
single sample decides (the idea of J. Wang, M. Cohen, "Optimized Color Sampling for Robust Matting", CVPR
2007; the weights are our own).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["sample_alpha"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Rings are in heights of the face with the number of samples on each; colours are in [0, 1].
_RINGS = ((0.05, 4), (0.13, 6))
_SIGMA = 0.02
_CONTRAST = 0.08
_PRIOR = 4.0
_TOLERANCE = 0.15
_DOUBTFUL = 0.7
_CHUNK = 4096


def sample_alpha(
    image_rgb: NDArray[np.uint8], sure_fg: Mask, sure_bg: Mask, rough: Array, unit_px: float
) -> tuple[Array, Array]:
    """Estimate the matte between two sure regions.

    Args:
        image_rgb: H x W x 3 uint8.
        sure_fg, sure_bg: H x W bool, each with at least one pixel.
        rough: H x W float32 in [0, 1], the estimate so far.
        unit_px: height of the face in pixels; distances scale with it.

    Returns:
        The matte, H x W float32 in [0, 1], and how sure it is, the same (0 where both sides look alike).
    """
    alpha = np.where(sure_fg, np.float32(1), np.where(sure_bg, np.float32(0), rough)).astype(np.float32)
    confidence = np.ones_like(alpha)
    unknown = ~(sure_fg | sure_bg)
    rows, columns = np.nonzero(unknown)
    image = image_rgb.astype(np.float32) / 255
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.6, 0.004 * unit_px)), np.float32)
    nearest_fg, nearest_bg = _nearest(sure_fg), _nearest(sure_bg)
    colors = smooth.reshape(-1, 3)
    offsets = _offsets(unit_px)
    for start in range(0, rows.size, _CHUNK):
        r, c = rows[start : start + _CHUNK], columns[start : start + _CHUNK]
        near_r = np.clip(r[:, None] + offsets[:, 1], 0, alpha.shape[0] - 1)
        near_c = np.clip(c[:, None] + offsets[:, 0], 0, alpha.shape[1] - 1)
        fg = colors[nearest_fg[near_r, near_c]]
        bg = colors[nearest_bg[near_r, near_c]]
        alpha[r, c], confidence[r, c] = _vote(image[r, c], fg, bg, rough[r, c])
    return alpha, confidence


def _nearest(known: Mask) -> NDArray[np.int64]:
    """Return, for every pixel, the flat index of the nearest known pixel."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    flat = np.flatnonzero(known)
    index = np.zeros(int(labels.max()) + 1, np.int64)
    index[labels.ravel()[flat]] = flat
    return np.asarray(index[labels], np.int64)


def _offsets(unit_px: float) -> NDArray[np.int64]:
    """Return the places around a pixel whose nearest known colours are tried, N x 2 (x, y)."""
    points = [(0.0, 0.0)]
    for ring, (radius, count) in enumerate(_RINGS):
        angles = (np.arange(count) + 0.5 * ring) * (2 * np.pi / count)
        points += [(radius * unit_px * float(np.cos(a)), radius * unit_px * float(np.sin(a))) for a in angles]
    return np.asarray(np.rint(np.array(points)), np.int64)


def _vote(color: Array, fg: Array, bg: Array, rough: Array) -> tuple[Array, Array]:
    """Return matte and confidence of N pixels from N x K x 3 foreground and N x K x 3 background colours."""
    to_fg, to_bg = fg - color[:, None, :], bg - color[:, None, :]
    square_fg = np.einsum("nkc,nkc->nk", to_fg, to_fg)[:, :, None]
    square_bg = np.einsum("nkc,nkc->nk", to_bg, to_bg)[:, None, :]
    cross = to_fg @ to_bg.transpose(0, 2, 1)
    length = square_fg + square_bg - 2 * cross + np.float32(1e-6)
    along = square_bg - cross
    alpha = np.clip(along / length, 0, 1)
    misfit = square_bg - alpha * (2 * along - alpha * length)
    vote = np.exp(misfit * np.float32(-0.5 / _SIGMA**2)) * (length / (length + np.float32(_CONTRAST**2)))
    vote += np.float32(1e-9)
    total = vote.sum((1, 2))
    mean = (vote * alpha).sum((1, 2)) / total
    sure = _certainty(mean, fg, bg)
    trust = sure / (sure + np.float32(_PRIOR) * (1 - sure) + np.float32(0.05))
    mixed = trust * mean + (1 - trust) * rough
    return (mixed * (1 - _plain_background(square_bg[:, 0], bg, rough))).astype(np.float32), sure


def _plain_background(misfit: Array, bg: Array, rough: Array) -> Array:
    """Return how surely a doubtful pixel is background, as it looks just like an even background near it."""
    spread = bg.var(1).sum(1)
    even = 1 / (1 + spread / np.float32(_SIGMA**2))
    alike = np.exp(misfit.min(1) * np.float32(-0.5 / _SIGMA**2))
    return np.asarray(even * alike * np.clip((_DOUBTFUL - rough) / _DOUBTFUL, 0, 1) ** 0.5, np.float32)


def _certainty(alpha: Array, fg: Array, bg: Array) -> Array:
    """Return 1 / (1 + (expected / tolerated error)^2), from the samples' spread along the mixing line."""
    mean_fg, mean_bg = fg.mean(1), bg.mean(1)
    axis = mean_fg - mean_bg
    length = np.einsum("nc,nc->n", axis, axis) + np.float32(_CONTRAST**2)
    spread_fg = np.einsum("nkc,nc->nk", fg - mean_fg[:, None], axis).var(1) / length
    spread_bg = np.einsum("nkc,nc->nk", bg - mean_bg[:, None], axis).var(1) / length
    noise = np.float32(_SIGMA**2)
    error = (alpha**2 * spread_fg + (1 - alpha) ** 2 * spread_bg + noise) / length
    return np.asarray(1 / (1 + error / np.float32(_TOLERANCE**2)), np.float32)
