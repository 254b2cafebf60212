"""Square crops around a head and the way back into the full picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Crop:
    """A square window of a picture shown at `size` x `size` pixels.

    `left`, `top` and `side` are pixels of the picture; (left, top) is the outer corner of the window's first
    pixel, so that a window with side == size and whole numbers copies pixels exactly.
    """

    left: float
    top: float
    side: float
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    def to_crop(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Picture pixels (..., 2 or 3) to crop pixels; z scales like x and y."""
        return self._map(points, self.scale, np.array([self.left, self.top]), forward=True)

    def to_picture(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Crop pixels (..., 2 or 3) to picture pixels."""
        return self._map(points, self.scale, np.array([self.left, self.top]), forward=False)

    @staticmethod
    def _map(
        points: NDArray[np.floating[Any]], scale: float, corner: NDArray[np.floating[Any]], *, forward: bool
    ) -> NDArray[np.float64]:
        result = np.array(points, np.float64)
        if forward:
            result[..., :2] = (result[..., :2] + 0.5 - corner) * scale - 0.5
        else:
            result[..., :2] = (result[..., :2] + 0.5) / scale - 0.5 + corner
        if result.shape[-1] == 3:
            result[..., 2] *= scale if forward else 1.0 / scale
        return result


def head_crop(
    landmarks_px: NDArray[np.floating[Any]], width: int, height: int, size: int, *, margin: float = 2.4
) -> Crop:
    """The square around head and shoulders, as large as the picture allows, shifted to stay inside it.

    Args:
        landmarks_px: (N, 2 or 3) landmarks of the face.
        width, height: of the picture, in pixels.
        size: of the crop as shown, in pixels.
        margin: side of the square in heights of the face (forehead to chin).

    The face stands slightly above the middle, where portraits have it.
    """
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    extent = float(max(high - low))
    side = min(margin * extent, float(width), float(height))
    centre_x, centre_y = (low + high) / 2.0
    left = float(np.clip(centre_x - side / 2.0, 0.0, width - side))
    top = float(np.clip(centre_y - 0.47 * side, 0.0, height - side))
    return Crop(round(left), round(top), float(int(side)), size)


def cut(picture: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop's pixels, (size, size, C): Lanczos when it grows, area average when it shrinks."""
    import cv2

    left, top, side = round(crop.left), round(crop.top), round(crop.side)
    window = picture[top : top + side, left : left + side]
    if side == crop.size:
        return window.copy()
    method = cv2.INTER_AREA if side > crop.size else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(window, (crop.size, crop.size), interpolation=method), np.uint8)
