"""Filling a hole in a picture: the protocol, and a classical method that needs no weights."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matting import check_image
from avatarkit.background.membrane import fill_smooth, linear_trend
from avatarkit.errors import UsageError

__all__ = ["Inpainter", "OpenCVInpainter"]

Array = NDArray[np.float32]

# Lengths are in shares of the longer side.
_SMOOTH = 0.02  # what is finer counts as texture
_DEPTH = 0.12  # texture is taken from a rim of this width
_BASE_PX = 384
_LARGEST_PX = 1536
_OUTLIER = 6.0  # texture is cut at this many medians, so that stray hair is not repeated
_TEXTURED, _FADED, _LEFT = 0.05, 0.15, 0.35


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
    """Smooth membrane for light and colour, texture and grain mirrored across the rim of the hole."""

    name = "opencv"

    def __init__(self, texture: float = 1.0) -> None:
        """Set the strength of the mirrored texture (0 leaves the bare membrane)."""
        self.texture = texture

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
            filled = self._fill(small, share > 0)
            filled = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
        else:
            filled = self._fill(image_rgb, hole)
        cv2.copyTo(filled, hole.astype(np.uint8), out)
        return out

    def _fill(self, image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the picture with something plausible in the hole (other pixels as they come)."""
        if hole.all():
            return np.full_like(image_rgb, 127)
        longest = max(hole.shape)
        image = image_rgb.astype(np.float32)
        trend = linear_trend(image, (~hole).astype(np.float32))
        base = _smooth_base(image - trend, hole) + trend
        detail = np.where(hole[..., None], np.float32(0), image - base)
        limit = _OUTLIER * float(np.median(np.abs(image - base)[~hole][::16])) + 1.0
        np.clip(detail, -limit, limit, out=detail)
        mirrored = _mirror(detail, hole, max(1, round(_DEPTH * longest)))
        return np.clip(np.rint(base + self.texture * mirrored), 0, 255).astype(np.uint8)


def _smooth_base(image: Array, hole: NDArray[np.bool_]) -> Array:
    """Return the picture without its detail, continued through the hole; solved on a small copy."""
    height, width = hole.shape
    scale = min(1.0, _BASE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    known = np.asarray(~hole, np.float32)
    mass = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    total = np.asarray(cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA), np.float32)
    seen = (mass > 0.999).astype(np.float32) if (mass > 0.999).any() else (mass > 0).astype(np.float32)
    soft = _masked_blur(total / np.maximum(mass, 1e-6)[..., None], seen, max(1.0, _SMOOTH * max(size)))
    filled = fill_smooth(soft, seen)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _masked_blur(image: Array, known: Array, sigma_px: float) -> Array:
    """Return the mean of the known pixels around each pixel, H x W x 3."""
    mass = cv2.GaussianBlur(known, (0, 0), sigma_px)
    total = cv2.GaussianBlur(image * known[..., None], (0, 0), sigma_px)
    return np.asarray(total / np.maximum(mass, 1e-6)[..., None], np.float32)


def _mirror(detail: Array, hole: NDArray[np.bool_], depth_px: int) -> Array:
    """Copy `detail` into the hole, point-mirrored at the nearest rim pixel, folding back every `depth_px`."""
    height, width = hole.shape
    distance, labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    flat = np.flatnonzero(~hole)
    index = np.zeros(int(labels.max()) + 1, np.int64)
    index[labels.ravel()[flat]] = flat
    rows, columns = np.nonzero(hole)
    rim_row, rim_column = np.divmod(index[labels[rows, columns]], width)
    depth = np.maximum(distance[rows, columns], 1.0)
    folded = depth_px - np.abs((depth % (2 * depth_px)) - depth_px)
    ratio = folded / depth
    row = _reflect(np.rint(rim_row + (rim_row - rows) * ratio).astype(np.int64), height)
    column = _reflect(np.rint(rim_column + (rim_column - columns) * ratio).astype(np.int64), width)
    fade = np.interp(depth / max(hole.shape), (_TEXTURED, _FADED), (1.0, _LEFT)).astype(np.float32)
    out = np.zeros_like(detail)
    out[rows, columns] = detail[row, column] * fade[:, None]
    return out


def _reflect(position: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Fold positions outside of 0..size-1 back inside."""
    folded = np.where(position >= size, 2 * size - 2 - position, np.abs(position))
    return np.clip(folded, 0, size - 1)
