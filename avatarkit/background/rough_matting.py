"""What mattings share that begin with a rough matte: working size, refinement, way back to the picture's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.guided_filter import guided_upsample
from avatarkit.background.matte_refine import face_hull, refine_matte
from avatarkit.background.matting import check_image

__all__ = ["RoughMatting", "over_windows"]

Array = NDArray[np.float32]

_SNAP_EPS = 1e-4
# Crops about the face, in heights of the face: a network sees 256 pixels, whatever the picture's size.
_CROP_SCALES = (4.2, 2.8)
_CROP_SHIFT = 0.12
_FEATHER = 0.12


class RoughMatting(ABC):
    """A rough matte first, which is then snapped to the picture's edges."""

    name: str

    def __init__(self, refine_side_px: int = 1024) -> None:
        """Set the working size.

        Args:
            refine_side_px: edges are solved with the longer side at most this; the matte of a larger picture
                is then enlarged along the picture's edges.
        """
        self.refine_side_px = refine_side_px

    def matte(
        self, image_rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float32]:
        """Return the person's matte; see `Matting.matte`."""
        check_image(image_rgb)
        height, width = image_rgb.shape[:2]
        scale = min(1.0, self.refine_side_px / max(height, width))
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            small = np.ascontiguousarray(image_rgb)
        points: Array | None = None
        if landmarks_px is not None:
            ratio = np.array([small.shape[1] / width, small.shape[0] / height])
            points = ((np.asarray(landmarks_px)[:, :2] + 0.5) * ratio - 0.5).astype(np.float32)
        alpha = refine_matte(small, self._rough(small, points), points)
        if scale == 1.0:
            return alpha
        return guided_upsample(image_rgb, small, alpha, 2, _SNAP_EPS)

    @abstractmethod
    def _rough(self, image: NDArray[np.uint8], points: Array | None) -> Array:
        """The rough matte, float32 (H, W) in [0, 1], with the face's landmarks (N, 2) where they are known."""


def over_windows(
    segment: Callable[[NDArray[np.uint8]], Array], image: NDArray[np.uint8], points: Array | None
) -> Array:
    """Mean of a network's answers on the whole picture and, where the face is known, on crops around the head.

    Args:
        segment: from a picture (h, w, 3) to its matte, float32 (h, w) in [0, 1].
        image: H x W x 3 uint8.
        points: landmarks (N, 2), or None.

    Returns:
        H x W float32 in [0, 1].
    """
    total = segment(image).copy()
    if points is None:
        return total
    mass = np.ones_like(total)
    height, width = total.shape
    low, high = face_hull(points).min(0), face_hull(points).max(0)
    side = float((high - low).max())
    center = (low + high) / 2 + np.array([0, _CROP_SHIFT * side])
    for scale in _CROP_SCALES:
        left, top = (int(v) for v in np.floor(np.maximum(center - scale * side / 2, 0)))
        right = min(width, int(center[0] + scale * side / 2))
        bottom = min(height, int(center[1] + scale * side / 2))
        if right - left < 16 or bottom - top < 16:
            continue
        window = np.s_[top:bottom, left:right]
        cut = (top > 0, left > 0, bottom < height, right < width)
        weight = 2 * _feather(bottom - top, right - left, cut)
        total[window] += weight * segment(image[window])
        mass[window] += weight
    return np.asarray(total / mass, np.float32)


def _feather(height: int, width: int, cut: tuple[bool, bool, bool, bool]) -> Array:
    """Return a weight that falls to zero at the sides (top, left, bottom, right) that cut the picture."""
    top, left, bottom, right = cut
    ramps = []
    for size, first, last in ((height, top, bottom), (width, left, right)):
        position = (np.arange(size, dtype=np.float32) + 0.5) / (size * _FEATHER)
        ramp = np.ones(size, np.float32)
        if first:
            ramp = np.minimum(ramp, position)
        if last:
            ramp = np.minimum(ramp, position[::-1])
        ramps.append(ramp)
    return np.asarray(ramps[0][:, None] * ramps[1][None, :], np.float32)
