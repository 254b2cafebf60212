"""What both MediaPipe trackers share: detections first, then landmarks inside a window around each face."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import SAME_FACE_IOU, Box, Scored, cut_out, iou, keep_best, square
from avatarkit.face.search import BESIDE, SMALLEST_FACE_PX, Pyramid, affordable_px, sides, squares, touches
from avatarkit.face.types import Face, face_from_landmarks

__all__ = ["MESH_SCORE", "WINDOW", "WindowTracker", "quiet_native_log"]

# The mesh network sees a square of this many face sizes; it wants a margin to find the face's frame in.
WINDOW = 2.2
# Confidence asked of the detector inside the mesh's window, where a face was seen already.
MESH_SCORE = 0.3
# Smaller detections are noise: no landmark network can do anything with them.
SMALLEST_BOX_PX = 20.0
# Many squares give many chances of being wrong: in hair, in cloth. True faces there score well above this.
_SQUARE_SCORE = 0.6
# A picture of thousands would take minutes.
_MOST_FACES = 300
# In squares that are searched for faces of a size, smaller ones than this share of it are left out: mostly errors.
_STRAY = 0.6


def quiet_native_log() -> None:
    """Ask MediaPipe's native code for errors only, unless the user has asked for more."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class WindowTracker(ABC):
    """A dense `FaceTracker` made of a face detector and a mesh network that looks at one window at a time.

    Every frame is looked at as a still. MediaPipe's own video mode is 2 ms faster, but damps small motions of
    eyes and lips, and goes on reporting a face that has left.
    """

    def __init__(self, min_score: float) -> None:
        self._min_score = min_score

    @property
    @abstractmethod
    def name(self) -> str:
        """Name and version for reports."""

    @abstractmethod
    def another(self) -> WindowTracker:
        """A second tracker like this one, for another thread. The caller closes it."""

    @abstractmethod
    def close(self) -> None:
        """Release the native graphs."""

    @property
    @abstractmethod
    def _reach(self) -> float:
        """The smallest face that `_boxes` finds reliably in a part, as a share of the part's longer side."""

    @abstractmethod
    def _boxes(self, part: NDArray[np.uint8], *, whole: bool) -> list[Scored]:
        """The detector's boxes in pixels of the part, with scores; a face may come several times.

        whole: whether the part is the whole picture, with faces of any size; else small ones are wanted.
        """

    @abstractmethod
    def _near(self, part: NDArray[np.uint8]) -> list[Scored]:
        """As `_boxes`, by the fastest detector, for faces that are large in the part."""

    @abstractmethod
    def _mesh(self, part: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Landmarks (478, 3) of the part's one face, in shares of its width, height and width; None without."""

    def detect(
        self, picture: NDArray[np.uint8], *, least_px: float = SMALLEST_FACE_PX, beside: float = BESIDE
    ) -> tuple[Face, ...]:
        """See `FaceTracker.detect`."""
        height, width = picture.shape[:2]
        least_px = max(least_px, affordable_px(width, height, self._reach))
        if least_px > min(width, height):
            least_px = math.inf  # what is larger than the picture is seen in the whole of it or not at all
        result: list[Face] = []
        pyramid, smallest = Pyramid(picture), SMALLEST_BOX_PX
        for side in sides(max(width, height), least_px, self._reach):
            self._search(picture, pyramid, side, smallest, result)
            wanted = max([least_px, *(beside * face.extent_px for face in result)])
            if self._reach * side <= wanted or len(result) >= _MOST_FACES:
                break
            smallest = max(SMALLEST_BOX_PX, _STRAY * wanted)
        whole = [face for face in result if not any(_within(face, other) for other in result)]
        return tuple(sorted(whole, key=lambda face: face.centre[0]))

    def glance(self, part: NDArray[np.uint8]) -> tuple[Box, ...]:
        """See `FaceTracker.glance`."""
        result = ((box, score) for box, score in self._near(part) if score >= self._min_score)
        return tuple(box for box, _ in keep_best(result))

    def _search(
        self, picture: NDArray[np.uint8], pyramid: Pyramid, side: float, smallest: float, found: list[Face]
    ) -> None:
        """Add the faces of one level, `smallest` pixels at least, that are not in `found` yet."""
        height, width = picture.shape[:2]
        boxes: list[Scored] = []
        for square_ in squares(width, height, side):
            boxes += self._in_square(pyramid, square_, width, height)
        for box, score in keep_best(boxes, most=_MOST_FACES):
            small = min(box[2] - box[0], box[3] - box[1]) < smallest
            if small or any(_on(box, face) for face in found):
                continue
            landmarks = self._landmarks(picture, square(box, WINDOW * 0.8))
            if landmarks is None:
                continue
            face = face_from_landmarks(landmarks, score)
            known = any(iou(face.box, other.box) >= SAME_FACE_IOU for other in found)
            if iou(face.box, box) > 0.1 and not known:
                found.append(face)

    def _in_square(self, pyramid: Pyramid, square_: tuple[int, int, int], width: int, height: int) -> list[Scored]:
        """Detections that count in one square of a picture, in its pixels."""
        left, top, side = square_
        part = pyramid.cut(left, top, side)
        right, bottom = min(width, left + side), min(height, top + side)
        whole = side >= max(width, height)
        scale = (right - left) / part.shape[1], (bottom - top) / part.shape[0]
        least = self._min_score if whole else max(self._min_score, _SQUARE_SCORE)
        counted: list[Scored] = []
        for box, score in self._boxes(part, whole=whole):
            x0, x1 = (left + x * scale[0] for x in (box[0], box[2]))
            y0, y1 = (top + y * scale[1] for y in (box[1], box[3]))
            if score >= least and not touches((x0, y0, x1, y1), (left, top, right, bottom), width, height):
                counted.append(((x0, y0, x1, y1), score))
        return counted

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """The same face in the next frame, searched around its last place."""
        landmarks = self._landmarks(frame, square(last.box, WINDOW))
        if landmarks is None:
            return None
        face = face_from_landmarks(landmarks, last.score)
        ratio = face.extent_px / max(last.extent_px, 1e-6)
        return face if iou(face.box, last.box) >= 0.1 and 0.5 < ratio < 2.0 else None

    def _landmarks(self, picture: NDArray[np.uint8], window: Box) -> NDArray[np.float32] | None:
        """Landmarks (478, 3) in pixels of the picture, looked for inside the window; None without a face."""
        result = cut_out(picture, window)
        if result is None:
            return None
        part, left, top = result
        points = self._mesh(part)
        if points is None:
            return None
        height, width = part.shape[:2]
        # Relative coordinates count from the outer edge of the first pixel; ours count pixel centres.
        return (points * (width, height, width) + (left - 0.5, top - 0.5, 0.0)).astype(np.float32)


def _on(box: Box, face: Face) -> bool:
    """Whether a detection is of a face known already, or of a part of it."""
    left, top, right, bottom = face.box
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    small = max(box[2] - box[0], box[3] - box[1]) <= 0.5 * face.extent_px
    return iou(box, face.box) >= SAME_FACE_IOU or (small and left < x < right and top < y < bottom)


def _within(face: Face, other: Face) -> bool:
    """Whether a face is a part of another: no more than half as large, with its centre on it, like an eye."""
    left, top, right, bottom = other.box
    x, y = face.centre
    return left < x < right and top < y < bottom and face.extent_px <= 0.5 * other.extent_px
