"""Square crops around a head and the way back into the full picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Crop:
    """A window of a picture, shown enlarged by `scale`.

    `left`, `top`, `width` and `height` are pixels of the picture; (left, top) is the outer corner of the window's
    first pixel, so that a window of whole numbers with scale 1 copies pixels exactly.
    """

    left: float
    top: float
    width: float
    height: float
    scale: float

    @staticmethod
    def square(left: float, top: float, side: float, size: int) -> "Crop":
        """A square window of `side` picture pixels shown at `size` x `size` pixels."""
        return Crop(left, top, side, side, size / side)

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height in pixels as shown."""
        return round(self.width * self.scale), round(self.height * self.scale)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture, for a window of whole numbers."""
        left, top = round(self.left), round(self.top)
        return slice(top, top + round(self.height)), slice(left, left + round(self.width))

    def to_crop(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Picture pixels (..., 2 or 3) to crop pixels; z scales like x and y."""
        return self._map(points, self.scale, np.array([self.left, self.top]), forward=True)

    def to_picture(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Crop pixels (..., 2 or 3) to picture pixels."""
        return self._map(points, self.scale, np.array([self.left, self.top]), forward=False)

    def grown(self, share: float, size: tuple[int, int]) -> "Crop":
        """The crop and a margin around it, a share of its sides, inside a picture of that width and height."""
        across, down = (float(round(share * side)) for side in (self.width, self.height))
        left, top = max(self.left - across, 0.0), max(self.top - down, 0.0)
        right, bottom = (
            min(first + side + more, float(whole))
            for first, side, more, whole in zip(
                (self.left, self.top), (self.width, self.height), (across, down), size, strict=True
            )
        )
        return Crop(left, top, right - left, bottom - top, self.scale)

    def within(self, outer: "Crop") -> tuple[slice, slice]:
        """Rows and columns of this crop, as shown, in a larger one of the same scale."""
        left, top = round((self.left - outer.left) * self.scale), round((self.top - outer.top) * self.scale)
        width, height = self.shown
        return slice(top, top + height), slice(left, left + width)

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
    landmarks_px: NDArray[np.floating[Any]], width: int, height: int, size: int, *, margin: float = 2.4,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Crop:
    """The square around head and shoulders, as large as the picture allows, shifted to stay inside it.

    Args:
        landmarks_px: (N, 2 or 3) landmarks of the face.
        width, height: of the picture, in pixels.
        size: of the crop as shown, in pixels.
        margin: side of the square in heights of the face (forehead to chin).
        offset: how far the face is moved from its usual place, to the right and down, in sides of the square.

    The face stands slightly above the middle, where portraits have it.
    """
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    extent = float(max(high - low))
    side = min(margin * extent, float(width), float(height))
    centre_x, centre_y = (low + high) / 2.0
    left = float(np.clip(centre_x - (0.5 + offset[0]) * side, 0.0, width - side))
    top = float(np.clip(centre_y - (0.47 + offset[1]) * side, 0.0, height - side))
    return Crop.square(round(left), round(top), float(int(side)), size)


def with_head_room(crop: Crop, hair_top: float, lowest: float, room: float, width: int, height: int) -> Crop:
    """A square crop raised, and enlarged where it must be, until there is room above the hair; as far as that goes.

    Args:
        hair_top: y of the hair's upper edge. lowest: y that must stay inside, such as that of the chin.
        room: share of the side that is wanted above the hair.
        width, height: of the picture, in pixels.
    """
    if hair_top - crop.top >= room * crop.width:
        return crop
    longest = float(min(width, height))
    side = min(max(crop.width, np.ceil((lowest - hair_top) / (1.0 - room))), longest)
    left = float(np.clip(round(crop.left - (side - crop.width) / 2.0), 0.0, width - side))
    # No higher than wanted, and never so high that what must stay inside is lost.
    top = float(np.clip(max(np.floor(hair_top - room * side), np.ceil(lowest - side)), 0.0, height - side))
    return Crop.square(left, top, side, crop.shown[0])


def cut(picture: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop's pixels as shown, (h, w, C): Lanczos when it grows, area average when it shrinks."""
    import cv2

    window = picture[crop.window]
    if crop.shown == (window.shape[1], window.shape[0]):
        return window.copy()
    method = cv2.INTER_AREA if crop.scale < 1.0 else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(window, crop.shown, interpolation=method), np.uint8)


def union(crop: Crop, points: NDArray[np.floating[Any]], width: int, height: int) -> Crop:
    """The smallest crop of whole pixels, unscaled, around a crop and points (N, 2), cut to the picture."""
    low = np.floor(np.minimum(points.min(0), [crop.left, crop.top]))
    high = np.ceil(np.maximum(points.max(0), [crop.left + crop.width, crop.top + crop.height]))
    left, top = (float(v) for v in np.maximum(low, 0.0))
    right, bottom = (float(v) for v in np.minimum(high, [width, height]))
    return Crop(left, top, right - left, bottom - top, 1.0)
