"""What both MediaPipe trackers share: detections first, then landmarks inside a window around each face."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import SAME_FACE_IOU, Box, Scored, cut_out, iou, keep_best, square
from avatarkit.face.types import Face, face_from_landmarks

__all__ = ["MESH_SCORE", "WINDOW", "WindowTracker", "quiet_native_log"]

# The mesh network sees a square of this many face sizes; it wants a margin to find the face's frame in.
WINDOW = 2.2
# Confidence asked of the detector inside the mesh's window, where a face was seen already.
MESH_SCORE = 0.3
# Smaller detections are noise: no landmark network can do anything with them.
SMALLEST_BOX_PX = 20


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
    def close(self) -> None:
        """Release the native graphs."""

    @abstractmethod
    def _boxes(self, picture: NDArray[np.uint8]) -> list[Scored]:
        """The detector's boxes in pixels of the picture, with scores; a face may come several times."""

    @abstractmethod
    def _mesh(self, part: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Landmarks (478, 3) of the part's one face, in shares of its width, height and width; None without."""

    def detect(self, picture: NDArray[np.uint8]) -> tuple[Face, ...]:
        """All faces of a picture, from left to right; empty when there is none."""
        found: list[Face] = []
        for box, score in self._distinct(picture):
            landmarks = self._landmarks(picture, square(box, WINDOW * 0.8))
            if landmarks is None:
                continue
            face = face_from_landmarks(landmarks, score)
            known = any(iou(face.box, other.box) >= SAME_FACE_IOU for other in found)
            if iou(face.box, box) > 0.1 and not known:
                found.append(face)
        whole = [face for face in found if not any(_within(face, other) for other in found)]
        return tuple(sorted(whole, key=lambda face: face.centre[0]))

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """The same face in the next frame, searched around its last place."""
        landmarks = self._landmarks(frame, square(last.box, WINDOW))
        if landmarks is None:
            return None
        face = face_from_landmarks(landmarks, last.score)
        ratio = face.extent_px / max(last.extent_px, 1e-6)
        return face if iou(face.box, last.box) >= 0.1 and 0.5 < ratio < 2.0 else None

    def _distinct(self, picture: NDArray[np.uint8]) -> list[Scored]:
        """Detections that count, best first, each face once."""
        return keep_best(
            (box, score)
            for box, score in self._boxes(picture)
            if score >= self._min_score and min(box[2] - box[0], box[3] - box[1]) >= SMALLEST_BOX_PX
        )

    def _landmarks(self, picture: NDArray[np.uint8], window: Box) -> NDArray[np.float32] | None:
        """Landmarks (478, 3) in pixels of the picture, looked for inside the window; None without a face."""
        found = cut_out(picture, window)
        if found is None:
            return None
        part, left, top = found
        points = self._mesh(part)
        if points is None:
            return None
        height, width = part.shape[:2]
        # Relative coordinates count from the outer edge of the first pixel; ours count pixel centres.
        return (points * (width, height, width) + (left - 0.5, top - 0.5, 0.0)).astype(np.float32)


def _within(face: Face, other: Face) -> bool:
    """Whether a face is a part of another: no more than half as large, with its centre on it, like an eye."""
    left, top, right, bottom = other.box
    x, y = face.centre
    return left < x < right and top < y < bottom and face.extent_px <= 0.5 * other.extent_px
