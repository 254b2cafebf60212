"""Following one face frame by frame: inside a given box, or the largest of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box, iou
from avatarkit.face.person import PersonFollower
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face

__all__ = ["FaceFollower", "Seen", "others", "share_inside"]

Frame = NDArray[np.uint8]

# Less of the face's box inside the picture than this, and the picture's edge cuts the face.
_LEAST_INSIDE = 0.85
_SAME_IOU = 0.2


@dataclass(frozen=True)
class Seen:
    """One frame's face, or why there is none.

    cause: "" with a face, else "no-face" (nothing so far), "face-lost", "other-person" (faces, but none of the person
        followed so far), "drift" (lost by leaving its box) or "outside-frame" (cut by the picture's edge).
    jumped: this face appeared far from where it was lost.
    """

    face: Face | None
    cause: str = ""
    jumped: bool = False


class FaceFollower:
    """Finds a face, follows the person it belongs to, and finds the person again, and nobody else."""

    def __init__(self, tracker: FaceTracker) -> None:
        self._person = PersonFollower(tracker)
        self._drifted = False

    def restart(self) -> None:
        """Forget the person, as after a cut."""
        self._person.forget()
        self._drifted = False

    def step(self, frame: Frame, box: Box | None = None, moved: tuple[float, float] = (0.0, 0.0)) -> Seen:
        """The face in the next frame; with a box (pixels) the one nearest to its middle, if it belongs there.

        moved: how far the picture's content moved since the frame before, in pixels.
        """
        known = self._person.known
        sight = self._person.step(frame, moved, box)
        if sight.face is None:
            self._drifted = self._drifted or sight.drifted
            lost = "drift" if self._drifted else "other-person" if sight.stranger else "face-lost"
            return Seen(None, lost if known else "no-face")
        self._drifted = False
        height, width = frame.shape[:2]
        if share_inside(sight.face.box, width, height) < _LEAST_INSIDE:
            return Seen(None, "outside-frame", sight.jumped)
        return Seen(sight.face, "", sight.jumped)


def others(found: tuple[Face, ...], face: Face) -> tuple[Face, ...]:
    """Those of the faces found that are not `face`."""
    return tuple(other for other in found if iou(other.box, face.box) < _SAME_IOU)


def share_inside(box: Box, width: int, height: int) -> float:
    """The share of a box's area that lies inside the picture; 0 for one that is empty or not a number."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    if not area > 0 or not all(math.isfinite(value) for value in box):
        return 0.0
    across = min(box[2], float(width)) - max(box[0], 0.0)
    down = min(box[3], float(height)) - max(box[1], 0.0)
    return max(0.0, across) * max(0.0, down) / area
