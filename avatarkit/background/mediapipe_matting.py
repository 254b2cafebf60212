"""Matting with MediaPipe's selfie segmentation (Apache-2.0), refined on the picture.

Its model ships inside the wheels of mediapipe 0.10.14 to 0.10.21; later ones have none, and there MODNet or the
landmarks take its place (`choice.py`).
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matte_refine import face_hull
from avatarkit.background.rough_matting import RoughMatting
from avatarkit.errors import DependencyError

__all__ = ["MediaPipeMatting"]

Array = NDArray[np.float32]

_NET_PX = 256
# Crops about the face, in heights of the face: the network sees 256 pixels, whatever the picture's size.
_CROP_SCALES = (4.2, 2.8)
_CROP_SHIFT = 0.12
_FEATHER = 0.12


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
            from mediapipe.python.solutions import selfie_segmentation
        except ImportError as error:
            raise DependencyError(
                f"mediapipe's selfie segmentation is not here ({error}): use MODNet, avatarkit weights fetch modnet,"
                " or install 'mediapipe>=0.10.14,<0.10.30'"
            ) from error
        self._net: Any = selfie_segmentation.SelfieSegmentation(model_selection=0)

    def _rough(self, image: NDArray[np.uint8], points: Array | None) -> Array:
        """Fuse the network's answers on the whole picture and on crops around the head."""
        total = self._segment(image).copy()
        mass = np.ones_like(total)
        if points is None:
            return total
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
            total[window] += weight * self._segment(image[window])
            mass[window] += weight
        return np.asarray(total / mass, np.float32)

    def _segment(self, image: NDArray[np.uint8]) -> Array:
        """Run the network on the picture and its mirror image and return their mean at the picture's size."""
        height, width = image.shape[:2]
        inter = cv2.INTER_AREA if max(height, width) > _NET_PX else cv2.INTER_LINEAR
        small = cv2.resize(image, (_NET_PX, _NET_PX), interpolation=inter)
        straight = self._net.process(small).segmentation_mask
        mirrored = self._net.process(np.ascontiguousarray(small[:, ::-1])).segmentation_mask[:, ::-1]
        mean = np.clip((straight + mirrored) / 2, 0, 1).astype(np.float32)
        return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


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
