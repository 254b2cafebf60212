"""A fast matte for every frame of a video: one pass of MediaPipe's segmentation, its edges fitted to the picture.

The edges come from a guided filter (see `background.guided_filter`) with one channel as guide, a third of the cost of
three: the direction of colour that best tells foreground from background near the outline (R. A. Fisher's linear
discriminant, 1936).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matte_refine import face_hull
from avatarkit.background.matting import check_image
from avatarkit.background.mediapipe_matting import MediaPipeMatting

__all__ = ["VideoMatting"]

Array = NDArray[np.float32]

_NET_PX = 256
# The network's answer is stretched between these: it is rarely quite sure.
_LOW, _HIGH = 0.12, 0.88
_SOLID = 0.5
_NEAR_PX = 9
_BAND_PX = 13
_RADIUS_PX, _EPS = 3, 1e-3
# The filter never quite reaches 0 and 1; what is this near becomes exactly that, which also keeps the PNG small.
_BLACK, _WHITE = 0.06, 0.94


class VideoMatting(MediaPipeMatting):
    """Person matte in a few milliseconds; hair is coarser than `MediaPipeMatting`'s."""

    name = "mediapipe-video"

    def matte(
        self, image_rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float32]:
        """Return the person's matte; see `Matting.matte`.

        With landmarks the face is always foreground, and what is not joined to it is dropped.
        """
        check_image(image_rgb)
        height, width = image_rgb.shape[:2]
        inter = cv2.INTER_AREA if max(height, width) > _NET_PX else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(image_rgb, (_NET_PX, _NET_PX), interpolation=inter), np.uint8)
        rough = np.asarray(self._net.process(small).segmentation_mask, np.float32)
        rough = np.clip((rough - _LOW) / (_HIGH - _LOW), 0.0, 1.0).astype(np.float32)
        if landmarks_px is not None:
            ratio = np.array([_NET_PX / width, _NET_PX / height])
            rough = _joined((np.asarray(landmarks_px)[:, :2] + 0.5) * ratio - 0.5, rough)
        alpha = _fitted(image_rgb, small, rough)
        # In place: at this size each array costs as much time as the arithmetic.
        alpha -= np.float32(_BLACK)
        alpha *= np.float32(1.0 / (_WHITE - _BLACK))
        np.maximum(alpha, np.float32(0.0), out=alpha)
        return np.minimum(alpha, np.float32(1.0), out=alpha)


def _fitted(image: NDArray[np.uint8], small: NDArray[np.uint8], rough: Array) -> Array:
    """The rough matte at the picture's size and with its edges, not clipped."""
    weights = _discriminant(small, rough)
    guide, fine = (_projected(picture, weights) for picture in (small, image))
    mean, target = _box(guide), _box(rough)
    slope = (_box(guide * rough) - mean * target) / (_box(guide * guide) - mean * mean + np.float32(_EPS))
    offset = target - slope * mean
    size = image.shape[1], image.shape[0]
    fine *= cv2.resize(_box(slope), size, interpolation=cv2.INTER_LINEAR)
    fine += cv2.resize(_box(offset), size, interpolation=cv2.INTER_LINEAR)
    return fine


def _projected(picture: NDArray[np.uint8], weights: Array) -> Array:
    """One channel: the weighted sum of the colours."""
    return np.asarray(cv2.transform(picture.astype(np.float32), weights[None, :]), np.float32)


def _discriminant(small: NDArray[np.uint8], rough: Array) -> Array:
    """Weights (3,) of the colours, scaled so that foreground and background near the outline differ by 1."""
    small, rough = small[::2, ::2], rough[::2, ::2]
    solid = (rough > _SOLID).astype(np.uint8)
    kernel = np.ones((_BAND_PX, _BAND_PX), np.uint8)
    inner, outer = solid - cv2.erode(solid, kernel), cv2.dilate(solid, kernel) - solid
    front, back = (small[band > 0].astype(np.float32) / 255.0 for band in (inner, outer))
    if len(front) < 2 or len(back) < 2:
        return np.full(3, 1.0 / 765.0, np.float32)
    gap = front.mean(0) - back.mean(0)
    spread = np.cov(front, rowvar=False) + np.cov(back, rowvar=False) + 1e-4 * np.eye(3)
    weights = np.linalg.solve(spread, gap)
    # Colours that hardly differ are not stretched beyond measure: they would turn noise into edges.
    weights /= max(float(gap @ weights), 0.1 * float(np.linalg.norm(weights)), 1e-6)
    return (weights / 255.0).astype(np.float32)


def _box(plane: NDArray[Any]) -> Array:
    side = 2 * _RADIUS_PX + 1
    return np.asarray(cv2.boxFilter(plane, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _joined(points: NDArray[np.floating[Any]], rough: Array) -> Array:
    """The rough matte with the face filled, and without people and things that are not joined to it."""
    face = np.zeros(rough.shape, np.uint8)
    cv2.fillConvexPoly(face, np.rint(face_hull(points)).astype(np.int32), (1,))
    rough = np.maximum(rough, face.astype(np.float32))
    count, labels = cv2.connectedComponents((rough > _SOLID).astype(np.uint8), connectivity=8)
    if count <= 2:
        return rough
    kept = np.zeros(count, np.uint8)
    kept[labels[face > 0]] = 1
    kept[0] = 0
    near = cv2.dilate(kept[labels], np.ones((_NEAR_PX, _NEAR_PX), np.uint8))
    return np.where(near > 0, rough, np.float32(0.0)).astype(np.float32)
