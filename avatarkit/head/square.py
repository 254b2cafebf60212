"""A head's square: the picture of one moment as datasets store it and networks see it, with what was measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.types import face_from_landmarks
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.annotate import annotation
from avatarkit.head.crops import Cropped, HeadCropper
from avatarkit.head.matrix import head_matrix

__all__ = ["Square", "portrait_square", "square_of"]


@dataclass(frozen=True)
class Square:
    """One head.

    picture: RGB uint8 (S, S, 3). landmarks: float32 (478, 3) in pixels of it. rotation (3, 3), translation_px (3,),
    scale_px (): where the head is in it, as `annotate.annotation` says. index: number of the frame in its video.
    matte: uint8 (S, S), what belongs to the person, as datasets store it; None where nobody has asked for it.
    """

    picture: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation_px: NDArray[np.float32]
    scale_px: float
    index: int = 0
    matte: NDArray[np.uint8] | None = None

    @property
    def size(self) -> int:
        """Its side S in pixels."""
        return int(self.picture.shape[0])

    @property
    def head(self) -> NDArray[np.float32]:
        """The head matrix (4, 4), free of the square's size."""
        return head_matrix(self.rotation, self.translation_px, self.scale_px, self.size)

    @property
    def pose(self) -> Similarity:
        """Head coordinates to pixels of the square."""
        rotation, place = np.asarray(self.rotation, np.float64), np.asarray(self.translation_px, np.float64)
        return Similarity(rotation, place, float(self.scale_px))


def square_of(cropped: Cropped, index: int = 0) -> Square:
    """The square that a finished crop is, with the columns that datasets store of it."""
    row = annotation(0.0, cropped.face.landmarks, cropped.head, cropped.crop, cropped.head_px)
    return Square(
        cropped.picture,
        np.asarray(row["landmarks"], np.float32),
        np.asarray(row["rotation"], np.float32),
        np.asarray(row["translation_px"], np.float32),
        float(np.float32(row["scale_px"])),
        index,
    )


def portrait_square(picture: NDArray[np.uint8], landmarks: NDArray[np.floating[Any]], size: int) -> Square:
    """The square of a single picture's head, cut as a video's first frame is.

    Args:
        picture: RGB uint8 (H, W, 3). landmarks: (478, 3) in pixels of it. size: side of the square, pixels.
    """
    cropper = HeadCropper(size)
    face = face_from_landmarks(landmarks, 1.0)
    (cropped,) = [*cropper.push(0, picture, face), *cropper.flush()]
    return square_of(cropped)
