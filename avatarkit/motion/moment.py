"""The driver at one moment: its pose, its landmarks, and what the source's own face stands for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.similarity import Similarity, fit
from avatarkit.head.coordinates import eye_opening, gaze, head_frame
from avatarkit.motion.columns import Motion

Array = NDArray[np.float64]

NEAR_FRONTAL = 0.9
"""Cosine of the turn (26 degrees) up to which a reference shows both eyes well."""
SHUT = 0.5
"""Eyes that are open by less than this share of the widest of all references count as shut."""
EQUAL_GAZE = 1e-4
"""In eye widths: the eyes' gazes stay as far apart through a shot where one follows the other, or both rest."""


@dataclass(frozen=True)
class Reference:
    """What the source's own face stands for in the driver, at one moment.

    pose: of the driver then, by its rigid points and mean face. frame: the head frame of its landmarks then,
    measured as the source's is; the two differ by a few degrees. expression, eye_opening, gaze: as in `Motion`.
    """

    pose: Similarity
    frame: Similarity
    expression: Array
    eye_opening: Array
    gaze: Array

    def moved(self, pose: Similarity) -> Similarity:
        """The head frame when the driver's pose has become `pose`."""
        turn, growth = pose.rotation @ self.pose.rotation.T, pose.scale / self.pose.scale
        origin = pose.apply(self.pose.apply_inverse(self.frame.translation))
        return Similarity(turn @ self.frame.rotation, origin, growth * self.frame.scale)

    def offsets(self, change: Array) -> Array:
        """A change of expression (478, 3) in the head frame's coordinates."""
        ratio = self.pose.scale / self.frame.scale
        result: Array = ratio * change @ (self.frame.rotation.T @ self.pose.rotation).T
        return result


def pose_of(motion: Motion, index: int) -> Similarity:
    """The driver's pose in one frame: head coordinates of its mean face to pixels."""
    return Similarity(
        np.asarray(motion.rotation[index], np.float64),
        np.asarray(motion.translation[index], np.float64),
        float(motion.scale[index]),
    )


def landmarks_of(motion: Motion, index: int) -> Array:
    """The driver's (smoothed) landmarks (478, 3) in one frame, in pixels of the driver."""
    shape = np.asarray(motion.identity[motion.shot[index]], np.float64) + motion.expression[index]
    return pose_of(motion, index).apply(shape)


def moment(motion: Motion, index: int) -> Reference:
    """The driver in one frame, as the reference for others."""
    return Reference(
        pose_of(motion, index),
        head_frame(landmarks_of(motion, index)),
        np.asarray(motion.expression[index], np.float64),
        np.asarray(motion.eye_opening[index], np.float64),
        np.asarray(motion.gaze[index], np.float64),
    )


def looking_ahead(references: Sequence[Reference], seen: Sequence[bool]) -> list[Reference]:
    """References of a driver's shots with one gaze for all, that of the shot whose reference tells it best.

    Where eyes look ahead out of a head is the person's, like the head's rotation, which has one reference too. A driver
    who is seen from aside all through a shot and looks into the camera looks aside out of the head. Of references that
    are near frontal with open, seen eyes, the one that looks most nearly ahead counts; trackers say that shut and
    hidden eyes look ahead as well.

    Args:
        references: one of each shot. seen: see `eyes_seen`.
    """
    widest = max(float(r.eye_opening.mean()) for r in references)

    def doubt(shot: int) -> tuple[int, float]:
        r = references[shot]
        shut, averted = float(r.eye_opening.min()) < SHUT * widest, float(r.pose.rotation[2, 2]) < NEAR_FRONTAL
        return int(shut) + int(averted) + int(not seen[shot]), abs(float(r.gaze[:, 0].mean()))

    best = references[min(range(len(references)), key=doubt)]
    return [replace(r, gaze=best.gaze) for r in references]


def eyes_seen(motion: Motion) -> list[bool]:
    """Of each shot whether it shows both eyes: of tracked ones no two gazes stay equal, those of hidden eyes do."""
    apart = np.asarray(motion.gaze[:, 0] - motion.gaze[:, 1], np.float64)
    return [bool(np.ptp(apart[start:stop], axis=0).max() > EQUAL_GAZE) for start, stop in motion.shot_ranges()]


def still_moment(landmarks: NDArray[np.floating[Any]], identity: NDArray[np.floating[Any]]) -> Reference:
    """A still of the driver's own person, as the reference for its frames.

    Args:
        landmarks: (478, 3) of the still, in its pixels. identity: (478, 3) the mean face of a shot, see `Motion`.
    """
    points, rigid = np.asarray(landmarks, np.float64), list(lm.RIGID)
    pose = fit(np.asarray(identity, np.float64)[rigid], points[rigid])
    shape = pose.apply_inverse(points)
    return Reference(pose, head_frame(points), shape - identity, eye_opening(shape), gaze(points))
