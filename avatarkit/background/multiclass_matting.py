"""Matting with MediaPipe's multi-class selfie segmenter (Apache-2.0), refined on the picture.

It tells hair, skin, clothes and what is worn from the background, and keeps collars, shoulders and hats that the
two-class model of the older MediaPipe loses. It runs in MediaPipe Tasks, of both generations; its file is
"selfie-multiclass" of the registry.
Model card: "MediaPipe Selfie Multiclass Segmentation", Google, 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.rough_matting import RoughMatting, over_windows
from avatarkit.errors import InputError
from avatarkit.face.mediapipe_imports import import_tasks
from avatarkit.weights.adapter import Adapter

__all__ = ["CLASSES", "MulticlassMatting"]

Array = NDArray[np.float32]

CLASSES = ("background", "hair", "body skin", "face skin", "clothes", "worn")
"""What the network tells apart; "worn" are glasses, hats and jewellery."""
_NET_PX = 256
_HAZE = 0.12  # so much of everything it gives to the background's pixels


class MulticlassMatting(RoughMatting, Adapter):
    """Person matte: all classes but the background, on several crops, then snapped to the picture's edges."""

    name = "multiclass"
    weights_name = "selfie-multiclass"

    def __init__(self, model: Path, refine_side_px: int = 1024) -> None:
        """Load the network.

        Args:
            model: MediaPipe's selfie_multiclass_256x256.tflite.
            refine_side_px: as `RoughMatting`.

        Raises:
            InputError: the file cannot be read, or is another network.
            DependencyError: mediapipe is not installed, or is one without Tasks.
        """
        super().__init__(refine_side_px)
        self._mediapipe, vision, base_options = import_tasks()
        try:
            options = vision.ImageSegmenterOptions(
                # As bytes: mediapipe opens paths in ways of its own on some systems.
                base_options=base_options(model_asset_buffer=model.read_bytes()),
                output_confidence_masks=True,
                output_category_mask=False,
            )
            self._net: Any = vision.ImageSegmenter.create_from_options(options)
            count = len(self._masks(np.zeros((_NET_PX, _NET_PX, 3), np.uint8)))
        except OSError as error:
            raise InputError(f"{model}: cannot be read: {error.strerror}") from error
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{model}: mediapipe cannot use it: {str(error).splitlines()[0]}") from error
        if count != len(CLASSES):
            raise InputError(f"{model}: tells {count} classes apart, and this needs the one with {len(CLASSES)}")

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> MulticlassMatting:
        return cls(path)

    def classes(self, image_rgb: NDArray[np.uint8]) -> Array:
        """How likely each class is at each pixel of the network's square view, float32 (6, 256, 256), see `CLASSES`."""
        shrinks = max(image_rgb.shape[:2]) > _NET_PX
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.stack(self._masks(cv2.resize(image_rgb, (_NET_PX, _NET_PX), interpolation=method)))

    def _rough(self, image: NDArray[np.uint8], points: Array | None) -> Array:
        return over_windows(self._person, image, points)

    def _person(self, image: NDArray[np.uint8]) -> Array:
        """Everything but the background, at the picture's size, without the haze."""
        person = np.clip((1 - self.classes(image)[0] - _HAZE) / (1 - 2 * _HAZE), 0, 1)
        size = (image.shape[1], image.shape[0])
        return np.asarray(cv2.resize(person, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def _masks(self, view: NDArray[Any]) -> list[Array]:
        seen = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(view))
        masks = self._net.segment(seen).confidence_masks
        return [np.array(mask.numpy_view(), np.float32).reshape(_NET_PX, _NET_PX) for mask in masks]
