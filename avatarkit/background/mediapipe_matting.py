"""Matting with MediaPipe's selfie segmentation (Apache-2.0), refined on the picture.

Its model ships inside the wheels of mediapipe 0.10.14 to 0.10.21; later ones have none, and there other
methods take its place (`choice.py`).
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.rough_matting import RoughMatting, over_windows
from avatarkit.errors import DependencyError
from avatarkit.face.mediapipe_imports import imported

__all__ = ["MediaPipeMatting"]

Array = NDArray[np.float32]

_NET_PX = 256


class MediaPipeMatting(RoughMatting):
    """Person matte: a rough one from the network on several crops, then snapped to the picture's edges."""

    name = "mediapipe"

    def __init__(self, refine_side_px: int = 1024) -> None:
        """Load the network.

        Args:
            refine_side_px: as `RoughMatting`.

        Raises:
            DependencyError: mediapipe is not installed, or is one without this network.
        """
        super().__init__(refine_side_px)
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            imported("mediapipe")
            from mediapipe.python.solutions import selfie_segmentation
        except ImportError as error:
            raise DependencyError(
                f"mediapipe's selfie segmentation is not here ({error}): avatarkit weights fetch selfie-multiclass,"
                " or install 'mediapipe>=0.10.14,<0.10.30'"
            ) from error
        self._net: Any = selfie_segmentation.SelfieSegmentation(model_selection=0)

    def _rough(self, image: NDArray[np.uint8], points: Array | None) -> Array:
        """Fuse the network's answers on the whole picture and on crops around the head."""
        return over_windows(self._segment, image, points)

    def _segment(self, image: NDArray[np.uint8]) -> Array:
        """Run the network on the picture and its mirror image and return their mean at the picture's size."""
        height, width = image.shape[:2]
        inter = cv2.INTER_AREA if max(height, width) > _NET_PX else cv2.INTER_LINEAR
        small = cv2.resize(image, (_NET_PX, _NET_PX), interpolation=inter)
        straight = self._net.process(small).segmentation_mask
        mirrored = self._net.process(np.ascontiguousarray(small[:, ::-1])).segmentation_mask[:, ::-1]
        mean = np.clip((straight + mirrored) / 2, 0, 1).astype(np.float32)
        return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
