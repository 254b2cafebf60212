"""Motion that the photo cannot show is eased: large turns, long ways, heads that leave the edge that cuts them off."""

import mmap
import os
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import angle_deg, from_vector
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.hidden import HiddenSide
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]

MOST_TURN_DEG = 42.0
"""Farther than this from the photo's own view the head's sides stretch beyond what looks like a head."""
MOST_HIDDEN_TURN_DEG = 26.0
"""The same for a turn that brings a hidden side into view: its ear and hair are not known."""
TOWARDS = 0.12
"""A hidden side that turns towards the viewer by this mean rise of its cosine comes into view."""
SOFT_START = 0.5
"""From this share of a limit on motion is slowed down, so that it never stops with a jerk."""
LONGEST_WAY = 1.0
"""A head moves at most this many head units from where the photo has it: the picture's edge holds its shoulders."""
LEAST_RATIO = 0.6
"""For the same reason it shrinks at most to this share of its size, or grows as much."""
MARGIN = 0.95
"""The share of the room that is used: the edges are looked at in some points alone."""
ROUNDS = 3
_COUNTING = 64
"""Rows of counts: processes that are forked together have other numbers, up to as many."""
NOTICED, NOTICED_DEG = 0.05, 3.0
"""A head kept back by this many head units, or by these degrees, is worth a line in the summary."""


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
        rooms = tuple(side + canvas.solid_px if known else np.inf for side in beyond)
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
            motion = shifted(motion, np.array([right - left, bottom - top]))
            inside = self._inside(motion)
        return motion

    def _inside(self, motion: DriveFrame) -> list[float]:
        """How far in pixels the edges come in: from the left, above, the right and below; 0 where they do not."""
        moved, inwards = self.field.uncovered(motion)
        return [
            float((moved[(inwards == way).all(1)] @ np.array(way, np.float64)).max(initial=0.0))
            for way in ((1, 0), (0, 1), (-1, 0), (0, -1))
        ]


@dataclass(frozen=True)
class WayLimits:
    """How far a head may go, and how much smaller or larger it may become, while shoulders stay where they are.

    pose: of the photo's head.
    """

    pose: Similarity

    def eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion, with less of what is too far."""
        way = motion.pose.translation - self.pose.translation
        length = float(np.linalg.norm(way[:2])) / self.pose.scale
        growth = float(np.log(motion.pose.scale / self.pose.scale))
        share = soft_limit(length, LONGEST_WAY) / max(length, 1e-9)
        kept = soft_limit(abs(growth), -float(np.log(LEAST_RATIO))) / max(abs(growth), 1e-9)
        if min(share, kept) > 1.0 - 1e-6:
            return motion
        scale = self.pose.scale * float(np.exp(kept * growth))
        place = self.pose.translation + share * way
        return reposed(motion, replace(motion.pose, translation=place, scale=scale))


@dataclass(frozen=True)
class TurnLimits:
    """How far the head may turn away from the photo's own view; rolls are free.

    rotation: (3, 3) of the photo's head. hidden: its hidden side, which bears less.
    """

    rotation: Array
    hidden: HiddenSide | None

    def eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion, its turn made smaller where it is more than can be drawn."""
        turn = motion.pose.rotation @ self.rotation.T
        # The turn takes the viewing axis to its third column; what remains is a roll.
        sine = np.array([-turn[1, 2], turn[0, 2], 0.0])
        angle = float(np.arctan2(np.hypot(*sine[:2]), turn[2, 2]))
        if angle < 1e-6:
            return motion
        limit = np.radians(self._limit_deg(motion.pose.rotation))
        share = soft_limit(angle, limit) / angle
        if share == 1.0:
            return motion
        vector = sine * (angle / max(float(np.linalg.norm(sine)), 1e-9))
        roll = from_vector(vector).T @ turn
        rotation = from_vector(vector * share) @ roll @ self.rotation
        return reposed(motion, replace(motion.pose, rotation=rotation))

    def _limit_deg(self, rotation: Array) -> float:
        if self.hidden is None:
            return MOST_TURN_DEG
        share = float(np.clip(self.hidden.appears(rotation) / TOWARDS, 0.0, 1.0))
        return MOST_TURN_DEG + share * (MOST_HIDDEN_TURN_DEG - MOST_TURN_DEG)


def soft_limit(value: float, limit: float) -> float:
    """The value up to `SOFT_START` of the limit, then ever slower, never beyond the limit (both positive)."""
    start = SOFT_START * limit
    if value <= start:
        return value
    rest = max(limit - start, 1e-9)
    return start + rest * float(np.tanh((value - start) / rest))


def shifted(motion: DriveFrame, shift: Array) -> DriveFrame:
    """The same face moved by `shift` (2,) in pixels."""
    way = np.array([shift[0], shift[1], 0.0])
    pose = replace(motion.pose, translation=motion.pose.translation + way)
    return replace(motion, pose=pose, landmarks=motion.landmarks + way)


def reposed(motion: DriveFrame, pose: Similarity) -> DriveFrame:
    """The same face in another pose."""
    return replace(motion, pose=pose, landmarks=pose.apply(motion.pose.apply_inverse(motion.landmarks)))


class Tally:
    """Counts, from several threads and from forked processes, the frames that show less motion than was asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        # A row for each process that counts: rows of one memory, as one process cannot lock the other out.
        self._counts = np.frombuffer(mmap.mmap(-1, 8 * _COUNTING * 3), np.int64).reshape(_COUNTING, 3)
        self._home = os.getpid()

    def add(self, asked: DriveFrame, drawn: DriveFrame) -> None:
        """Count one frame."""
        away = np.abs(drawn.pose.translation - asked.pose.translation).max() / asked.pose.scale
        held = bool(away > NOTICED or abs(drawn.pose.scale / asked.pose.scale - 1.0) > NOTICED)
        turned = angle_deg(asked.pose.rotation, drawn.pose.rotation) > NOTICED_DEG
        with self._lock:
            self._counts[(os.getpid() - self._home) % _COUNTING] += (1, held, turned)

    def lines(self) -> tuple[str, ...]:
        """What the summary should say, a line each; counting begins anew."""
        with self._lock:
            drawn, held, turned = (int(count) for count in self._counts.sum(0))
            self._counts[:] = 0
        lines = []
        if held:
            lines.append(
                f"the picture's edge cuts head or shoulders off: in {held} of {drawn} frames the head"
                " is kept near its place instead of moving away; a picture with room around them shows the whole motion"
            )
        if turned:
            lines.append(
                f"the head turns farther than this photo can show: in {turned} of {drawn} frames it turns less;"
                " a source that looks more like the driver's usual pose shows the whole turn"
            )
        return tuple(lines)
