"""What mattings share that begin with a rough matte: working size, refinement, way back to the picture's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.guided_filter import guided_upsample
from avatarkit.background.matte_refine import refine_matte
from avatarkit.background.matting import check_image

__all__ = ["RoughMatting"]

Array = NDArray[np.float32]

_SNAP_EPS = 1e-4


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
