"""Where a frame is searched for a face that is followed.

In the same place until the face has left its middle: a window that comes along with every frame is one more cause of
trembling landmarks. It is settled by the face of two frames before, so that two frames can be looked at at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from avatarkit.face.boxes import iou
from avatarkit.face.types import Face

__all__ = ["Place", "moved_by", "searched"]

# A place is kept until the face's centre is away by this share of its size, or its size is another by it.
_KEPT = 0.2
# It serves while the last face overlaps it by this share of both.
_SERVES = 0.4


@dataclass(frozen=True)
class Place:
    """In pixels of one frame: the face around which it was searched, and the face of the frame before."""

    around: Face
    before: Face

    def after(self, moved: tuple[float, float]) -> Face:
        """The face around which the next frame is searched, after the picture's content moved by so many pixels."""
        kept, now = moved_by(self.around, *moved), moved_by(self.before, *moved)
        away = math.hypot(now.centre[0] - kept.centre[0], now.centre[1] - kept.centre[1]) / kept.extent_px
        grown = abs(math.log(now.extent_px / kept.extent_px))
        return kept if max(away, grown) <= _KEPT else now


def searched(place: Place | None, last: Face, moved: tuple[float, float]) -> Place:
    """Where the next frame is searched.

    Args:
        place: of the last frame, None where that was the first. last: the face in it, moved by `moved` already.
        moved: how far the picture's content moved since, in pixels.
    """
    around = last if place is None else place.after(moved)
    return Place(around if iou(around.box, last.box) >= _SERVES else last, last)


def moved_by(face: Face, x: float, y: float) -> Face:
    """The face shifted by so many pixels."""
    if x == 0.0 and y == 0.0:
        return face
    box = face.box[0] + x, face.box[1] + y, face.box[2] + x, face.box[3] + y
    return replace(face, landmarks=face.landmarks + np.array([x, y, 0.0], np.float32), box=box)
