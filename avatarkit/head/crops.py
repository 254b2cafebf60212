"""From full frames to smoothed head crops, with half a second of look-ahead and memory to match."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatarkit.face.types import Face
from avatarkit.geometry.crop import Crop
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.head.framing import LOOK_AHEAD, Window, inside, smoothed, wanted

__all__ = ["Cropped", "HeadCropper", "cut_window"]

Picture = NDArray[np.uint8]

# What is held of a frame until its square is known: this much more than the square it asks for itself.
_HELD = 1.4
# Of a head much larger than the stored size a copy reduced by a whole number is held, never below this many sizes.
_HELD_SIZES = 1.25
# Up to this reduction linear interpolation differs from a filter by less than a grey level on average.
_LINEAR_REDUCTION = 1.5


@dataclass(frozen=True)
class Cropped:
    """One finished crop: RGB uint8 (size, size, 3), where it was, and the face in pixels of the original.

    head_px: side of the square that this frame alone asks for, or of the crop where the picture has no room for it.
    """

    number: float
    picture: Picture
    crop: Crop
    face: Face
    head: Similarity
    head_px: float


@dataclass(frozen=True)
class _Held:
    number: float
    part: Picture
    left: int
    top: int
    reduction: int
    face: Face
    head: Similarity


class HeadCropper:
    """Takes frames in order and gives crops, each as soon as the frames after it are known that smooth its square."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[_Held] = deque()
        self._numbers: deque[float] = deque()
        self._windows: deque[Window] = deque()

    def push(self, number: float, frame: Picture, face: Face) -> Iterator[Cropped]:
        """Take the next frame that shows the face; gives the crops that are now due. Exhaust it before the next.

        `number` counts frames at 25 a second, with fractions where the video has another rate.
        """
        head = head_frame(face.landmarks)
        window = wanted(head)
        self._numbers.append(number)
        self._windows.append(window)
        self._waiting.append(self._hold(number, frame, face, head, window))
        while self._waiting and self._waiting[0].number + LOOK_AHEAD <= number:
            yield self._finish()

    def flush(self) -> Iterator[Cropped]:
        """The crops still waiting, at the end of a clip."""
        while self._waiting:
            yield self._finish()

    def _hold(self, number: float, frame: Picture, face: Face, head: Similarity, window: Window) -> _Held:
        height, width = frame.shape[:2]
        # First moved into the picture, then enlarged: at its edges the finished square lies off the head's middle.
        left, top, right, bottom = inside(window, 0, 0, width, height).grown(_HELD).corners
        left, top = max(0, int(left)), max(0, int(top))
        right, bottom = min(width, int(right) + 1), min(height, int(bottom) + 1)
        part = frame[top:bottom, left:right]
        reduction = max(1, int(min(part.shape[:2]) / (_HELD * _HELD_SIZES * self._size)))
        if reduction == 1:
            return _Held(number, part.copy(), left, top, 1, face, head)
        rows, columns = (side // reduction for side in part.shape[:2])
        whole = part[: rows * reduction, : columns * reduction]
        small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        return _Held(number, np.asarray(small, np.uint8), left, top, reduction, face, head)

    def _finish(self) -> Cropped:
        held = self._waiting.popleft()
        while self._numbers[0] < held.number - LOOK_AHEAD:
            self._numbers.popleft()
            self._windows.popleft()
        window = smoothed(self._numbers, self._windows, held.number)
        height, width = (side * held.reduction for side in held.part.shape[:2])
        placed = inside(window, held.left, held.top, held.left + width, held.top + height)
        crop = Crop.square(placed.left, placed.top, placed.side, self._size)
        seen = Window((placed.x - held.left) / held.reduction, (placed.y - held.top) / held.reduction,
                      placed.side / held.reduction)  # fmt: skip
        picture = cut_window(held.part, seen, self._size)
        return Cropped(held.number, picture, crop, held.face, held.head, min(wanted(held.head).side, placed.side))


def cut_window(picture: Picture, window: Window, size: int) -> Picture:
    """A square window at any sub-pixel place, as RGB uint8 (size, size, 3); it must lie inside the picture.

    Enlarged bicubic; reduced a little by linear interpolation, which then sees every pixel, and more with a filter
    (Hamming) as wide as the reduction, so that nothing aliases.
    """
    if size < window.side <= _LINEAR_REDUCTION * size:
        return _cut_linear(picture, window, size)
    height, width = picture.shape[:2]
    left, top, right, bottom = window.corners
    box = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    method = Image.Resampling.HAMMING if window.side > size else Image.Resampling.BICUBIC
    image = Image.fromarray(picture).resize((size, size), method, box=box)
    return np.asarray(image, np.uint8)


def _cut_linear(picture: Picture, window: Window, size: int) -> Picture:
    """The same by linear interpolation: a third of the filter's time."""
    left, top, _, _ = window.corners
    step = window.side / size
    matrix = np.array([[step, 0.0, left + 0.5 * step - 0.5], [0.0, step, top + 0.5 * step - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)
