"""Filling a hole in a picture: the protocol, and a classical method that needs no weights."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matting import check_image
from avatarkit.background.membrane import fill_smooth, linear_trend, masked_blur
from avatarkit.background.patch_fill import fill_patches
from avatarkit.errors import UsageError

__all__ = ["Inpainter", "OpenCVInpainter"]

Array = NDArray[np.float32]

# Lengths are in shares of the longer side, levels of 255.
_SMOOTH = 0.02  # what is finer counts as texture
_BASE_PX = 384
_LARGEST_PX = 1536
_PLAIN, _UNEVEN = 3.0, 8.0  # up to here a background is plain, from there on it has structure
_MOST_GRAIN = 4.0
_JOIN, _MOST_MISS = 0.04, 24.0  # how far, and up to what difference, patches are fitted to the rim
_LOUD, _QUIET, _QUIETER = 400.0, 8.0, 0.02  # levels of detail at the rim and far from it, and how soon they fall
_DEEP, _DEEPEST = 0.1, 0.22  # so far from the rim patches are guesses: they give way to the membrane


class Inpainter(Protocol):
    """Fills a hole so that it looks like the picture around it.

    Attributes:
        name: short name for reports and options.
    """

    name: str

    def inpaint(self, image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the picture with the hole filled.

        Args:
            image_rgb: H x W x 3 uint8.
            hole: H x W bool, True where the picture is to be invented.

        Returns:
            H x W x 3 uint8, bit-identical to the input where `hole` is False; the same input gives the same
            output.

        Raises:
            InputError: the image is not H x W x 3 uint8 or is empty. UsageError: the hole has another size.
        """


class OpenCVInpainter:
    """Patches of the rest of the picture where the background has structure, a smooth membrane where it is plain."""

    name = "opencv"

    def inpaint(self, image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Fill the hole; see `Inpainter.inpaint`. A hole that is the whole picture becomes mid grey."""
        check_image(image_rgb)
        if hole.shape != image_rgb.shape[:2]:
            raise UsageError(f"hole {hole.shape} and image {image_rgb.shape[:2]} differ; give them one size")
        out = image_rgb.copy()
        if not hole.any():
            return out
        if hole.all():
            out[:] = 127
            return out
        height, width = hole.shape
        scale = min(1.0, _LARGEST_PX / max(height, width))
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            small = np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
            filled = _fill(small, share > 0)
            filled = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
        else:
            filled = _fill(image_rgb, hole)
        cv2.copyTo(filled, hole.astype(np.uint8), out)
        return out


def _fill(image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the picture with something plausible in the hole (other pixels as they come)."""
    if hole.all():
        return np.full_like(image_rgb, 127)
    image, known = image_rgb.astype(np.float32), (~hole).astype(np.float32)
    trend = linear_trend(image, known)
    base = _smooth_base(image - trend, hole) + trend
    structure = np.clip((_unevenness(image - base, hole) - _PLAIN) / (_UNEVEN - _PLAIN), 0, 1)[..., None]
    filled = base + (1 - structure) * _grain(image, known)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5) / max(hole.shape)
    structure *= np.clip((_DEEPEST - depth) / (_DEEPEST - _DEEP), 0, 1)[..., None]
    if structure[hole].any():
        patched = _joined(fill_patches(image_rgb, hole, base).astype(np.float32), base, hole, depth)
        filled += structure * _calmer(patched - base, hole, depth)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _unevenness(detail: Array, hole: NDArray[np.bool_]) -> Array:
    """How much the picture around the hole differs from its smooth base, in levels, continued through the hole."""
    square = np.where(hole[..., None], np.float32(0), detail**2).mean(2, keepdims=True)
    return np.asarray(np.sqrt(np.maximum(_smooth_base(square, hole), 0)), np.float32).reshape(hole.shape)


def _grain(image: Array, known: Array) -> Array:
    """Noise as strong as the picture's own, H x W x 1; the same for the same picture."""
    fine = np.abs(image - cv2.GaussianBlur(image, (0, 0), 1.0))[known > 0]
    sigma = min(_MOST_GRAIN, 1.48 * float(np.median(fine)))
    noise = np.random.default_rng(0).standard_normal((*known.shape, 1), np.float32)
    return np.asarray(noise * np.float32(sigma), np.float32)


def _joined(patched: Array, base: Array, hole: NDArray[np.bool_], depth: Array) -> Array:
    """The patches in the light of what they join: small differences of level at the rim are faded out inwards."""
    miss = base - masked_blur(patched, hole.astype(np.float32), max(1.0, _SMOOTH * max(hole.shape)))
    small = np.exp(-np.sum(miss**2, axis=2) / np.float32(2 * _MOST_MISS**2))
    weight = np.exp(-depth / np.float32(_JOIN)) * small
    return np.asarray(patched + weight[..., None] * miss, np.float32)


def _calmer(detail: Array, hole: NDArray[np.bool_], depth: Array) -> Array:
    """The detail of patches, less loud the farther from the rim: lines that do not meet, and copies of what stands out.

    Fine textures are quiet, and stay.
    """
    inside = hole.astype(np.float32)
    square = masked_blur(detail**2, inside, max(1.0, _SMOOTH * max(hole.shape) / 2.0)).mean(2)
    most = _QUIET + (_LOUD - _QUIET) * np.exp(-depth / np.float32(_QUIETER))
    return np.asarray(detail * np.minimum(most / np.sqrt(np.maximum(square, 1.0)), 1.0)[..., None], np.float32)


def _smooth_base(image: Array, hole: NDArray[np.bool_]) -> Array:
    """Return the picture (H x W x C) without its detail, continued through the hole; solved on a small copy."""
    height, width = hole.shape
    scale = min(1.0, _BASE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    known = np.asarray(~hole, np.float32)
    mass = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    total = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA).reshape(*mass.shape, -1)
    seen = (mass > 0.999).astype(np.float32) if (mass > 0.999).any() else (mass > 0).astype(np.float32)
    soft = masked_blur(total / np.maximum(mass, 1e-6)[..., None], seen, max(1.0, _SMOOTH * max(size)))
    filled = fill_smooth(soft, seen)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
