"""Motion that the photo cannot show is eased: a head that the picture's edge cuts off does not leave that edge."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]

SOFT_START = 0.4
"""From this share of a limit on motion is slowed down, so that it never stops with a jerk."""
MARGIN = 0.95
"""The share of the room that is used: the edges are looked at in some points alone."""
ROUNDS = 3


@dataclass(frozen=True)
class EdgeLimits:
    """Where the edges that cut the head off may go.

    room_px: how much of the source beyond the drawn picture can be shown to the left, above, to the right and below.
    unit_px: length of a head unit in the source.
    """

    field: HeadField
    room_px: tuple[float, float, float, float]
    unit_px: float

    @staticmethod
    def of(field: HeadField, canvas: Canvas, source: SourceLayers) -> "EdgeLimits":
        """The limits of one source: the room is what the canvas has beyond the drawn picture."""
        height, width = source.alpha.shape
        left, top, right, bottom = canvas.known
        beyond = -0.5 - left, -0.5 - top, right - width + 0.5, bottom - height + 0.5
        known = float(source.alpha.min()) < 1.0
        rooms = tuple(side + canvas.reach_px if known else np.inf for side in beyond)
        return EdgeLimits(field, (rooms[0], rooms[1], rooms[2], rooms[3]), head_frame(source.landmarks).scale)

    def eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion, shifted (and enlarged between two edges) so that nothing beyond the room comes into view."""
        inside = self._inside(motion)
        # What comes into view is measured in pixels of the source: a head that shrinks shows more of it.
        ratio = motion.pose.scale / self.unit_px
        allowed = [soft_limit(way, ratio * MARGIN * room) for way, room in zip(inside, self.room_px, strict=True)]
        for _ in range(ROUNDS):
            left, top, right, bottom = (max(now - most, 0.0) for now, most in zip(inside, allowed, strict=True))
            if max(left, top, right, bottom) < 0.05:
                break
            narrow = max(min(left, right), min(top, bottom))
            if narrow > 0.0:
                motion = reposed(motion, replace(motion.pose, scale=motion.pose.scale + narrow))
            motion = _shifted(motion, np.array([right - left, bottom - top]))
            inside = self._inside(motion)
        return motion

    def _inside(self, motion: DriveFrame) -> list[float]:
        """How far in pixels the edges come in: from the left, above, the right and below; 0 where they do not."""
        moved, inwards = self.field.uncovered(motion)
        return [
            float((moved[(inwards == way).all(1)] @ np.array(way, np.float64)).max(initial=0.0))
            for way in ((1, 0), (0, 1), (-1, 0), (0, -1))
        ]


def soft_limit(value: float, limit: float) -> float:
    """The value up to `SOFT_START` of the limit, then ever slower, never beyond the limit (both positive)."""
    start = SOFT_START * limit
    if value <= start:
        return value
    rest = max(limit - start, 1e-9)
    return start + rest * float(np.tanh((value - start) / rest))


def _shifted(motion: DriveFrame, shift: Array) -> DriveFrame:
    way = np.array([shift[0], shift[1], 0.0])
    pose = replace(motion.pose, translation=motion.pose.translation + way)
    return replace(motion, pose=pose, landmarks=motion.landmarks + way)


def reposed(motion: DriveFrame, pose: Similarity) -> DriveFrame:
    """The same face in another pose."""
    return replace(motion, pose=pose, landmarks=pose.apply(motion.pose.apply_inverse(motion.landmarks)))
