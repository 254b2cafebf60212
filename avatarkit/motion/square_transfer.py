"""Motion for engines that look at the driver's head: its squares beside the pose that the source's head takes.

Relative motion moves the source's head as it does for all engines (`transfer`). Absolute motion gives it the pose that
the driver's head has in the driver's square, as in training: the square follows the head, so that where the driver
sits in its frame, and how large it is there, make no difference.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import from_euler_deg, scaled
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import eye_opening
from avatarkit.head.square import Square
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.squares import Squares
from avatarkit.motion.transfer import DriveFrame, Framing, Transfer

__all__ = ["Followed", "SquareTransfer"]


class SquareTransfer(Transfer):
    """Applies a driver's motion to a source's square.

    Args:
        motion: of the driver. source: the source's square. config: see `MotionConfig`.
        squares: of the driver; None moves the head alone and leaves the expression.
    """

    def __init__(self, motion: Motion, source: Square, config: MotionConfig, squares: Squares | None) -> None:
        super().__init__(motion, source.landmarks, config, Framing(1.0, 0.0, 0.0))
        self._squares = squares
        self._bounds = motion.shot_ranges()
        self._neutral: list[Square | None] = [None] * len(self._bounds)
        # A photo has no neutral frame of its own: its expression is taken as it is.
        if squares is not None and config.mode == "relative" and len(motion) > 1:
            self._neutral = [squares[reference] for reference in self._seen_references(motion, squares)]

    def frame(self, index: int) -> DriveFrame:
        """One frame, with the squares that its expression is read from."""
        frame = super().frame(index)
        shot = int(self._motion.shot[index])
        posed = self._posed(index)
        if self._squares is not None and posed is not None:
            frame = replace(frame, posed=self._squares[posed])
        if self._squares is None or self._config.region == "pose":
            return replace(frame, weight=0.0)
        near = self._squares.around(index, self._bounds[shot])
        driver = tuple((self._squares[number], share) for number, share in near)
        return replace(frame, driver=driver, neutral=self._neutral[shot], weight=self._weight(index) if driver else 0.0)

    def pose(self, index: int) -> Similarity:
        """The source's head in one frame: head coordinates to pixels of its square."""
        posed = self._posed(index)
        if self._squares is None or posed is None:
            return super().pose(index)
        return self._placed(self._squares.pose(posed), self._weight(index))

    def _posed(self, index: int) -> int | None:
        """The square whose pose the head is given; None where the source's own is moved."""
        config = self._config
        if config.mode == "relative" or self._squares is None or config.region not in ("all", "pose"):
            return None
        near = self._squares.around(index, self._bounds[int(self._motion.shot[index])])
        return _nearest(near) if near else None

    def _placed(self, seen: Similarity, weight: float) -> Similarity:
        """The source's head where the driver's is in its square; both squares have one size."""
        own, config = self._pose, self._config
        shift = np.array([*(weight * (seen.translation - own.translation)[:2]), 0.0])
        growth = (seen.scale / own.scale) ** weight
        turn = scaled(seen.rotation @ own.rotation.T, weight) @ own.rotation
        extra = from_euler_deg(config.yaw_deg, config.pitch_deg, config.roll_deg)
        return Similarity(
            (np.eye(3) if config.frontalize else turn) @ extra,
            own.translation + (0.0 if config.keep_translation else 1.0) * shift,
            own.scale * (1.0 if config.keep_scale else growth),
        )

    def _seen_references(self, motion: Motion, squares: Squares) -> list[int]:
        """The reference frames; where one was not seen itself, the nearest of its shot that was."""
        result = []
        for reference, bounds in zip(self.references, motion.shot_ranges(), strict=True):
            near = squares.around(reference, bounds)
            result.append(_nearest(near))
        return result


def _nearest(near: tuple[tuple[int, float], ...]) -> int:
    return max(near, key=lambda entry: entry[1])[0]


class Followed:
    """The driver's squares alone, for engines that draw what they see and need no source.

    Args:
        motion: of the driver. squares: of the driver; in a gap the nearer one is held.
    """

    def __init__(self, motion: Motion, squares: Squares) -> None:
        self._motion, self._squares = motion, squares
        self._bounds = motion.shot_ranges()
        self.references = [start for start, _ in self._bounds]

    def __len__(self) -> int:
        return len(self._motion)

    def frame(self, index: int) -> DriveFrame:
        """One frame."""
        square = self._squares[self._near(index)]
        landmarks: NDArray[np.float64] = np.asarray(square.landmarks, np.float64)
        return DriveFrame(square.pose, landmarks, eye_opening(landmarks), index, ((square, 1.0),))

    def pose(self, index: int) -> Similarity:
        """The driver's head in its square."""
        return self._squares.pose(self._near(index))

    def _near(self, index: int) -> int:
        return _nearest(self._squares.around(index, self._bounds[int(self._motion.shot[index])]))
