"""Ears and hair beside the face: a strip of surface that goes back from the face's oval on either side of the head."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIRROR
from avatarkit.geometry.sampling import sample
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame

Array = NDArray[np.float64]

LENGTH = 0.55
"""How far the strip reaches from the oval beside the ear, in head units."""
OUTWARDS, BACK = 0.5, 0.85
"""Its direction: the share of it away from the middle of the face, and the share towards the back of the head."""
RINGS = (0.8, 1.0)
"""Shares of the strip's length at which its points lie; it fades out from the first to the last."""
_LEFT = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365)
_LENGTHS = (1.8, 1.8, 1.7, 1.5, 1.3, 1.15, 1.0, 1.0, 1.0, 0.9, 0.7, 0.35, 0.1, 0.0)
LONGEST = LENGTH * max(_LENGTHS)
"""How far it reaches where it is longest, in head units: above the forehead, over the hair."""
_MIDDLE_Y = 0.15
"""Height of the middle of the face's oval in head coordinates."""

_SIDE = len(_LEFT)
OVAL = np.concatenate([_LEFT, MIRROR[list(_LEFT)]])
"""(28,) landmarks of the oval that the strips begin at: the person's left side, then the right one."""
EARS = np.array([356, 454, 323]), MIRROR[[356, 454, 323]]
"""Landmarks of the oval before the left and before the right ear."""
NUMBER = len(OVAL) * len(RINGS)
"""Of the strips' own points; they are counted after the 468 landmarks of the mesh, ring by ring as `OVAL`."""
FULL = np.concatenate([np.full(len(OVAL), float(ring == RINGS[0])) for ring in RINGS])
"""(NUMBER,) how opaque the strips are at their points."""


def twins() -> NDArray[np.intp]:
    """(NUMBER,) for each point its twin on the other side, counted as `triangles` counts them."""
    across = np.roll(np.arange(len(OVAL)), _SIDE)
    return np.concatenate([lm.MESH + ring * len(OVAL) + across for ring in range(len(RINGS))])


def triangles() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(T, 3) points of the left and of the right strip's triangles, facing the viewer of a frontal face."""
    rings = [OVAL] + [lm.MESH + ring * len(OVAL) + np.arange(len(OVAL)) for ring in range(len(RINGS))]
    left, right = (
        np.array([
            corners[::turn]
            for inner, outer in pairwise(rings)
            for k in range(side, side + _SIDE - 1)
            for corners in ((inner[k], outer[k], outer[k + 1]), (inner[k], outer[k + 1], inner[k + 1]))
        ], np.intp)
        for side, turn in ((0, 1), (_SIDE, -1))
    )  # fmt: skip
    return left, right


def matte_beside(alpha: NDArray[np.float32], landmarks: Array, away: float) -> tuple[float, float]:
    """The mean matte beside a face's outline in a picture, `away` head units off, by its left ear and by its right one.

    Args:
        landmarks: (468, 3).
    """
    pose = head_frame(landmarks)
    across = pose.rotation[:2, 0] / max(float(np.linalg.norm(pose.rotation[:2, 0])), 1e-6)
    down = np.array([-across[1], across[0]])
    heights, result = landmarks[:, :2] @ down, []
    for ears, way in zip(EARS, (1.0, -1.0), strict=True):
        level = np.abs(heights - heights[ears, None]) < 0.1 * pose.scale
        # A face that is turned far hides its oval behind its cheek.
        out = np.where(level, way * (landmarks[:, :2] @ across), -np.inf).max(1) + away * pose.scale
        places = heights[ears, None] * down + way * out[:, None] * across
        result.append(float(sample(alpha, places[None]).mean()))
    return result[0], result[1]


def points(landmarks: Array, pose: Similarity, grown: float = 1.0) -> Array:
    """(NUMBER, 3) the strips' points beside landmarks (468 or more, 3) of a head in a pose.

    grown: share of their length that they have.
    """
    oval = pose.apply_inverse(landmarks[OVAL])
    away = oval[:, :2] - [0.0, _MIDDLE_Y]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    way = np.column_stack([OUTWARDS * away, np.full(len(OVAL), BACK)])
    way *= grown * LENGTH * np.tile(_LENGTHS, 2)[:, None]
    return np.asarray(pose.apply(np.concatenate([oval + ring * way for ring in RINGS])), np.float64)
