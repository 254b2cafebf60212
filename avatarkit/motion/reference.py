"""Choosing the driver's reference frame: the one that the source's own pose and expression stand for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import angle_deg, to_euler_deg
from avatarkit.geometry.similarity import fit
from avatarkit.head.coordinates import eye_opening, gaze, head_frame, mouth_opening
from avatarkit.motion.columns import Motion, chunks

Array = NDArray[np.float64]

# One degree of freedom off by this much costs one unit.
MOUTH_UNIT, EYE_UNIT, ANGLE_UNIT_DEG, GAZE_UNIT = 0.06, 0.06, 12.0, 0.06
SMILE_UNIT = 0.05
SHAPE_UNIT = 0.008
CLOSED_MOUTH = 0.05


def reference_frames(
    motion: Motion, choice: str, mode: str, source: NDArray[np.floating[Any]], seen: NDArray[np.floating[Any]]
) -> list[int]:
    """One reference frame for each shot.

    Args:
        motion: of the driver.
        choice: "auto", "first", or a frame number, which serves its own shot (the others choose theirs).
        mode: "relative" looks for a neutral frame (closed mouth, open eyes, near frontal, looking ahead);
            "absolute" for the frame most like the source, since that frame's expression is the source's.
        source: (478, 3) the source's face in head coordinates.
        seen: (478, 3) the source's landmarks in pixels.

    Raises:
        UsageError: the frame number is not one, or not in the driver.
    """
    fixed = None
    if choice == "first":
        return [start for start, _ in motion.shot_ranges()]
    if choice != "auto":
        if not (choice.isascii() and choice.isdigit()) or int(choice) >= len(motion):
            raise UsageError(
                f"--reference-frame {choice}: use auto, first, or a number from 0 to {len(motion) - 1}"
            )
        fixed = int(choice)
    cost = _unlike(motion, source, seen) if mode == "absolute" else not_neutral(motion)
    cost = cost + 100.0 * (motion.state != 0)
    result = []
    for start, stop in motion.shot_ranges():
        inside = fixed is not None and start <= fixed < stop
        result.append(fixed if inside and fixed is not None else start + int(np.argmin(cost[start:stop])))
    return result


def _angles(motion: Motion) -> Array:
    return np.array([to_euler_deg(rotation) for rotation in motion.rotation])


def not_neutral(motion: Motion) -> Array:
    """How far each frame is from a closed mouth, open eyes, a frontal head and a level gaze.

    What depends on the person or the camera's height (pitch, the usual opening of the eyes, a resting mouth's
    width) is taken relative to the shot's own distribution.
    """
    angles = _angles(motion)
    cost = np.abs(motion.mouth_opening) / MOUTH_UNIT
    for start, stop in motion.shot_ranges():
        turned = angles[start:stop].copy()
        turned[:, 1] -= np.median(turned[:, 1])
        cost[start:stop] += np.sum((turned / ANGLE_UNIT_DEG) ** 2, axis=1)
        eyes = motion.eye_opening[start:stop].mean(1)
        # The usual open eye, not the widest: surprise is no neutral face.
        cost[start:stop] += np.abs(eyes - np.percentile(eyes, 65)) / EYE_UNIT
        look = motion.gaze[start:stop].mean(1)
        look = look - [0.0, np.median(look[:, 1])]
        cost[start:stop] += np.linalg.norm(look, axis=1) / GAZE_UNIT
        width = _mouth_width(motion, start, stop)
        closed = motion.mouth_opening[start:stop] < CLOSED_MOUTH
        usual = np.median(width[closed]) if closed.any() else np.percentile(width, 30)
        cost[start:stop] += np.abs(width - usual) / SMILE_UNIT
    return np.asarray(cost, np.float64)


def _mouth_width(motion: Motion, start: int, stop: int) -> Array:
    """Distance of the mouth corners in head units, (stop - start,)."""
    right, left = lm.INNER_LIP_UPPER[0], lm.INNER_LIP_UPPER[-1]
    identity = motion.identity[motion.shot[start]]
    across = identity[left] - identity[right]
    offset = motion.expression[start:stop, left] - motion.expression[start:stop, right]
    return np.asarray(np.linalg.norm(across + offset, axis=1), np.float64)


def _unlike(motion: Motion, source: NDArray[np.floating[Any]], seen: NDArray[np.floating[Any]]) -> Array:
    """How far each frame's expression is from the source's."""
    mouth, eyes, look = mouth_opening(seen[:, :2]), eye_opening(source), gaze(seen)
    cost = np.abs(motion.mouth_opening - mouth) / MOUTH_UNIT
    cost = cost + np.abs(motion.eye_opening - eyes).mean(1) / EYE_UNIT
    cost = cost + np.linalg.norm(motion.gaze - look, axis=2).mean(1) / GAZE_UNIT
    pose = head_frame(seen).rotation
    cost = cost + np.array([angle_deg(rotation, pose) for rotation in motion.rotation]) / ANGLE_UNIT_DEG
    width = float(np.linalg.norm(source[lm.INNER_LIP_UPPER[0]] - source[lm.INNER_LIP_UPPER[-1]]))
    for start, stop in motion.shot_ranges():
        for low, high in chunks(start, stop):
            cost[low:high] += np.abs(_mouth_width(motion, low, high) - width) / SMILE_UNIT
            cost[low:high] += _shape_distance(motion, low, high, seen) / SHAPE_UNIT
    return np.asarray(cost, np.float64)


def _shape_distance(motion: Motion, start: int, stop: int, seen: NDArray[np.floating[Any]]) -> Array:
    """RMS distance (stop - start,) of each frame's face from the source's, in head units.

    Between two people it hardly changes from frame to frame and decides nothing; when the source is a picture
    of the driver, it finds the very frame.
    """
    identity = np.asarray(motion.identity[motion.shot[start]], np.float64)
    rigid = list(lm.RIGID)
    aligned = fit(identity[rigid], np.asarray(seen, np.float64)[rigid]).apply_inverse(seen)
    difference = motion.expression[start:stop] - (aligned - identity)
    return np.asarray(np.sqrt(np.mean(np.sum(difference**2, axis=2), axis=1)), np.float64)
