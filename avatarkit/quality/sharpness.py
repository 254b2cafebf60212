"""Picture quality without weights: how crisp the edges are, less what noise and compression blocks add.

A method of our own. Edge crispness compares the gradient along structures at full resolution with the same
structures' gradient after smoothing, so that the contrast of the subject cancels out: a step edge blurred by b pixels
has a gradient of 1 / sqrt(b^2 + s^2) under a smoothing of s pixels. Structures are told from texture by the structure
tensor (J. Bigun, G. Granlund, "Optimal orientation detection of linear symmetry", ICCV 1987). Noise is measured in
the smoothest blocks by the mask of J. Immerkaer ("Fast noise variance estimation", CVIU 64, 1996), blocks by the
excess of grey-level steps at every eighth column and row, wherever their grid begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.quality.protocol import check_frames

__all__ = ["SharpnessParts", "SharpnessScore", "sharpness_parts"]

Array = NDArray[np.float32]

_COARSE_PX = 3.0
_TENSOR_PX = 13
_STRUCTURE_SHARE = 0.2
_NOISE_BLOCK_PX, _NOISE_QUANTILE = 16, 0.25
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_GRID_PX = 8
# A step above this is an edge of the subject, not of a block.
_STEP_LEVELS = 8.0
# Chosen on 45 portraits, so that the order of strengths holds for each of blur, JPEG, down-up scaling and noise.
_NOISE_FREE, _NOISE_UNIT, _NOISE_DB = 0.8, 2.0, 5.0
_BLOCKS_FREE, _BLOCKS_DB = 0.12, 9.0
_SMALLEST_PX = 32


@dataclass(frozen=True)
class SharpnessParts:
    """What the score is made of.

    edges_db: crispness of edges in decibels, about 0 (nothing finer than 5 px) to 8 (crisp to the pixel).
    noise_levels: standard deviation of the noise in grey levels of 255.
    blocks: steps at block borders beyond those elsewhere, in units of the usual step; 0 without blocks.
    """

    edges_db: float
    noise_levels: float
    blocks: float

    @property
    def score(self) -> float:
        """The score in decibels: crispness less the penalties of noise and blocks."""
        noise = _NOISE_DB * np.log2(1.0 + max(0.0, self.noise_levels - _NOISE_FREE) / _NOISE_UNIT)
        return float(self.edges_db - noise - _BLOCKS_DB * max(0.0, self.blocks - _BLOCKS_FREE))


class SharpnessScore:
    """The built-in `QualityModel`: decibels, the higher the better; about 6 is crisp and clean, below 0 poor."""

    name = "sharpness-1"
    weights_sha256: str | None = None

    def score(self, frames_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rate frames; see `QualityModel.score`."""
        check_frames(frames_rgb)
        return np.array([sharpness_parts(frame).score for frame in frames_rgb], np.float32)


def sharpness_parts(frame_rgb: NDArray[np.uint8]) -> SharpnessParts:
    """Measure one frame, H x W x 3 uint8; sides under 32 px are continued by mirroring."""
    grey = np.asarray(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2GRAY), np.float32)
    short = [max(0, _SMALLEST_PX - side) for side in grey.shape]
    if any(short):
        grey = np.pad(grey, [(0, more) for more in short], mode="symmetric")
    noise = _noise(grey)
    return SharpnessParts(_edges_db(grey, noise), noise, _blocks(grey))


def _edges_db(grey: Array, noise: float) -> float:
    """Gradient along the strongest structures, full resolution over smoothed, in decibels."""
    along, across = _tensor(np.asarray(cv2.GaussianBlur(grey, (0, 0), _COARSE_PX), np.float32))
    oriented = along - across
    chosen = oriented >= np.quantile(oriented[::4, ::4], 1.0 - _STRUCTURE_SHARE)
    coarse = float(np.sqrt(oriented[chosen]).mean())
    fine = float(np.sqrt(_tensor(grey)[0][chosen]).mean())
    # Noise adds to the gradient what a fifth of its variance leaves after the derivative mask.
    fine = float(np.sqrt(max(fine**2 - 0.2 * noise**2, 0.05 * fine**2)))
    return float(20.0 * np.log10((fine + 0.05) / (coarse + 0.05)))


def _tensor(grey: Array) -> tuple[Array, Array]:
    """Eigenvalues of the structure tensor, H x W each: squared gradients along the main direction and across it."""
    x = cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32)
    xx, xy, yy = (cv2.boxFilter(part, -1, (_TENSOR_PX, _TENSOR_PX)) for part in (x * x, x * y, y * y))
    spread = np.sqrt((xx - yy) ** 2 + 4.0 * xy**2)
    total = xx + yy
    return np.asarray((total + spread) / 2.0, np.float32), np.maximum((total - spread) / 2.0, 0).astype(np.float32)


def _noise(grey: Array) -> float:
    """Standard deviation of the noise in grey levels, from the quarter of blocks with the least going on."""
    rows, columns = (side // _NOISE_BLOCK_PX for side in grey.shape)
    detail = np.abs(cv2.filter2D(grey, cv2.CV_32F, _NOISE_MASK))
    detail = detail[: rows * _NOISE_BLOCK_PX, : columns * _NOISE_BLOCK_PX]
    means = detail.reshape(rows, _NOISE_BLOCK_PX, columns, _NOISE_BLOCK_PX).mean((1, 3))
    return float(np.quantile(means, _NOISE_QUANTILE) * np.sqrt(np.pi / 2.0) / 6.0)


def _blocks(grey: Array) -> float:
    """Mean over both directions of the steps at the most striking of the eight possible grids."""
    result = []
    for turned in (grey, grey.T):
        steps = np.abs(np.diff(turned, axis=1))
        beyond = steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2.0
        profile = np.clip(beyond, -_STEP_LEVELS, _STEP_LEVELS).mean(0)
        whole = len(profile) // _GRID_PX * _GRID_PX
        phases = profile[:whole].reshape(-1, _GRID_PX).mean(0)
        usual = float(np.minimum(steps, _STEP_LEVELS).mean())
        result.append(float(phases.max() - np.median(phases)) / (usual + 0.5))
    return sum(result) / 2.0
