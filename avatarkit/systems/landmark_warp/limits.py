"""Motion that the photo cannot show is eased: large turns, long ways, heads that leave the edge that cuts them off."""

import mmap
import os
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.easing import held
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
"""A head moves at most this many head units aside of where the photo has it: the picture's edge holds its shoulders."""
HIGHEST, LOWEST = 0.4, 0.5
"""Up and down it moves less: the shoulders hardly follow, and a neck becomes neither much longer nor shorter."""
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
    unit_px: length of a head unit in the source. size: width and height between its edges in head units.
    """

    field: HeadField
    room_px: tuple[float, float, float, float]
    unit_px: float
    size: tuple[float, float]

    @staticmethod
    def of(field: HeadField, canvas: Canvas, source: SourceLayers) -> "EdgeLimits":
        """The limits of one source: the room is what the canvas has beyond the drawn picture.

        Where nothing is cut out no edge is known to cut a head off, and there is no limit.
        """
        height, width = source.alpha.shape
        left, top, right, bottom = canvas.known
        beyond = -0.5 - left, -0.5 - top, right - width + 0.5, bottom - height + 0.5
        rooms = tuple(side + canvas.solid_px if source.cut_out else np.inf for side in beyond)
        unit_px = head_frame(source.landmarks).scale
        size = (right - left) / unit_px, (bottom - top) / unit_px
        return EdgeLimits(field, (rooms[0], rooms[1], rooms[2], rooms[3]), unit_px, size)

    def eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion, shifted (and enlarged between two edges) so that nothing beyond the room comes into view."""
        inside = self._inside(motion)
        # What comes into view is measured in pixels of the source: a head that shrinks shows more of it.
        ratio = motion.pose.scale / self.unit_px
        limits = [ratio * MARGIN * room for room in self.room_px]
        # What an edge may come in by in any case is room for the one across.
        allowed = [soft_limit(max(way, SOFT_START * most), most) for way, most in zip(inside, limits, strict=True)]
        for _ in range(ROUNDS):
            left, top, right, bottom = beyond = [now - most for now, most in zip(inside, allowed, strict=True)]
            if max(beyond) < 0.05:
                break
            # Two edges too near each other for a shift: the head grows by what is missing over the picture's size.
            growth = max((left + right) / self.size[0], (top + bottom) / self.size[1])
            if growth > 0.0:
                motion = reposed(motion, replace(motion.pose, scale=motion.pose.scale + growth))
                beyond = [now - most for now, most in zip(self._inside(motion), allowed, strict=True)]
            left, top, right, bottom = (max(way, 0.0) for way in beyond)
            motion = shifted(motion, np.array([right - left, bottom - top]))
            inside = self._inside(motion)
        return motion

    def _inside(self, motion: DriveFrame) -> list[float]:
        """How far in pixels the edges come in: from the left, above, the right and below; negative: they go out."""
        moved, inwards = self.field.uncovered(motion)
        return [
            float((moved[(inwards == way).all(1)] @ np.array(way, np.float64)).max(initial=-np.inf))
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
        beside, below = way[:2] / self.pose.scale
        # In shares of the longest way: the farthest places lie on two halves of ellipses.
        length = float(np.hypot(beside / LONGEST_WAY, below / (LOWEST if below > 0.0 else HIGHEST)))
        growth = float(np.log(motion.pose.scale / self.pose.scale))
        share = soft_limit(length, 1.0) / max(length, 1e-9)
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
        # Also where there is no limit: nothing is infinitely far from it.
        return float(value)
    return float(held(value, start, max(limit - start, 1e-9)))


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
        self._counts = np.frombuffer(mmap.mmap(-1, 8 * _COUNTING * 4), np.int64).reshape(_COUNTING, 4)
        self._home = os.getpid()

    def add(self, asked: DriveFrame, near: DriveFrame, drawn: DriveFrame) -> None:
        """Count one frame. near: what `WayLimits` leave of it."""
        turned = angle_deg(asked.pose.rotation, drawn.pose.rotation) > NOTICED_DEG
        with self._lock:
            self._counts[(os.getpid() - self._home) % _COUNTING] += (
                1, _apart(asked.pose, near.pose), _apart(near.pose, drawn.pose), turned
            )  # fmt: skip

    def lines(self) -> tuple[str, ...]:
        """What the summary should say, a line each; counting begins anew."""
        with self._lock:
            drawn, far, held, turned = (int(count) for count in self._counts.sum(0))
            self._counts[:] = 0
        lines = []
        if far:
            lines.append(
                f"the head moves, shrinks or grows more than shoulders that stay allow: in {far} of {drawn} frames it"
                " does so less; --keep-translation and --keep-scale leave it in its place"
            )
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


def _apart(one: Similarity, other: Similarity) -> bool:
    """Whether two poses differ in place or size by so much that it is worth a line."""
    away = float(np.abs(other.translation - one.translation).max()) / one.scale
    return away > NOTICED or abs(other.scale / one.scale - 1.0) > NOTICED
