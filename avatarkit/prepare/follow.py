"""Following one face frame by frame: inside a given box, or the largest of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box, cut_out, iou, square
from avatarkit.face.search import BESIDE_MOVING, SMALLEST_FACE_PX, least_px
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face

__all__ = ["FaceFollower", "Seen", "belongs", "faces_in", "share_inside"]

Frame = NDArray[np.uint8]

# While nothing is found, the search runs on every n-th frame only: it costs more than following.
_SEARCH_EVERY = 3
# A face belongs to a box if its middle is this near, in sides of the box, and its size this like the box's.
_NEAR, _SMALLEST, _LARGEST = 0.5, 0.4, 2.2
_SEARCH_SIDES = 2.2
# A face found again farther than this (in face sizes) from where it was lost is somebody else.
_NEW_FACE_SIZES = 1.2
# Less of the face's box inside the picture than this, and the picture's edge cuts the face.
_LEAST_INSIDE = 0.85
_SAME_IOU = 0.2


@dataclass(frozen=True)
class Seen:
    """One frame's face, or why there is none.

    cause: "" with a face, else "no-face" (nothing so far), "face-lost", "drift" (lost by leaving its box) or
        "outside-frame" (cut by the picture's edge). jumped: this face appeared far from where the last one was lost.
    """

    face: Face | None
    cause: str = ""
    jumped: bool = False


class FaceFollower:
    """Finds a face, follows it, and finds it again."""

    def __init__(self, tracker: FaceTracker) -> None:
        self._tracker = tracker
        self.restart()

    def restart(self) -> None:
        """Forget the face, as after a cut."""
        self._last: Face | None = None
        self._lost_for = 0
        self._drifted = False

    def step(self, frame: Frame, box: Box | None = None) -> Seen:
        """The face in the next frame; with a box (pixels) the one nearest to its middle, if it belongs there."""
        last = self._last
        face = None if last is None or self._lost_for else self._tracker.follow(frame, last)
        if face is not None and box is not None and not belongs(face, box):
            face, self._drifted = None, True
        followed = face is not None
        if face is None and self._lost_for % _SEARCH_EVERY == 0:
            face = self._find(frame, box)
        if face is None:
            self._lost_for += 1
            return Seen(None, "drift" if self._drifted else "no-face" if last is None else "face-lost")
        jumped = last is not None and not followed and _distance(face, last) > _NEW_FACE_SIZES
        self._last, self._lost_for, self._drifted = face, 0, False
        height, width = frame.shape[:2]
        if share_inside(face.box, width, height) < _LEAST_INSIDE:
            return Seen(None, "outside-frame", jumped)
        return Seen(face, "", jumped)

    def _find(self, frame: Frame, box: Box | None) -> Face | None:
        if box is None:
            least = least_px(self._last.extent_px if self._last else None, self._lost_for)
            found = self._tracker.detect(frame, least_px=least, beside=BESIDE_MOVING)
            return _nearest(found, self._last) if found else None
        least = _SMALLEST * max(box[2] - box[0], box[3] - box[1])
        found = faces_in(self._tracker, frame, square(box, _SEARCH_SIDES), least_px=least)
        inside = [face for face in found if belongs(face, box)]
        return min(inside, key=lambda face: _offset(face, box)) if inside else None


def faces_in(
    tracker: FaceTracker,
    frame: Frame,
    window: Box,
    *,
    least_px: float = SMALLEST_FACE_PX,
    beside: float = BESIDE_MOVING,
) -> tuple[Face, ...]:
    """The faces in one part of a frame, in pixels of the frame: cheaper and finer than searching all of it.

    `least_px` and `beside` as in `FaceTracker.detect`.
    """
    part = cut_out(frame, window)
    if part is None:
        return ()
    picture, left, top = part
    shift = np.array([left, top, 0.0], np.float32)
    return tuple(
        replace(
            face,
            landmarks=face.landmarks + shift,
            box=(face.box[0] + left, face.box[1] + top, face.box[2] + left, face.box[3] + top),
        )
        for face in tracker.detect(picture, least_px=least_px, beside=beside)
    )


def others(found: tuple[Face, ...], face: Face) -> tuple[Face, ...]:
    """Those of the faces found that are not `face`."""
    return tuple(other for other in found if iou(other.box, face.box) < _SAME_IOU)


def belongs(face: Face, box: Box) -> bool:
    """Whether a face can be the one that a box is about."""
    side = max(box[2] - box[0], box[3] - box[1])
    return _offset(face, box) <= _NEAR * side and _SMALLEST * side <= face.extent_px <= _LARGEST * side


def share_inside(box: Box, width: int, height: int) -> float:
    """The share of a box's area that lies inside the picture; 0 for one that is empty or not a number."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    if not area > 0 or not all(math.isfinite(value) for value in box):
        return 0.0
    across = min(box[2], float(width)) - max(box[0], 0.0)
    down = min(box[3], float(height)) - max(box[1], 0.0)
    return max(0.0, across) * max(0.0, down) / area


def _offset(face: Face, box: Box) -> float:
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    return math.hypot(face.centre[0] - x, face.centre[1] - y)


def _nearest(found: tuple[Face, ...], last: Face | None) -> Face:
    if last is None:
        return max(found, key=lambda face: face.extent_px)
    return min(found, key=lambda face: _distance(face, last))


def _distance(face: Face, last: Face) -> float:
    """Distance of two faces in sizes of the last one, with the change of size counted in."""
    shift = math.hypot(face.centre[0] - last.centre[0], face.centre[1] - last.centre[1]) / last.extent_px
    return shift + abs(math.log(face.extent_px / last.extent_px))
