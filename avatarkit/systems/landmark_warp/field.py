"""How everything around the face moves with it: hair, ears and hat in 3-D, the neck fading to the shoulders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.grid import Lattice, Map, invert, unfolded
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]

# Lengths in head units (distance of the outer eye corners, about 9 cm).
HEAD_BACK = 0.9
"""From the face's oval outwards, over this length the surface recedes to the depth of the ears."""
EXPRESSION_REACH = 0.7
"""Over this length beyond the oval the pull of a moving jaw or brow dies away."""
NECK_TOP, NECK_LENGTH = 0.0, 1.1
"""The head's motion fades from the chin down over the neck's length."""
SHOULDERS_SWAY, SHOULDERS_RISE = 0.85, 0.4
"""Shares of the head's shift to the side and up or down that the shoulders take part in."""
PINNED = 0.07
"""An edge of the picture that must stay put is left alone over this share of the picture."""


class HeadField:
    """The displacement field of a source; `inverse` gives the sampling map for one pose."""

    def __init__(self, source: SourceLayers) -> None:
        height, width = source.alpha.shape
        self.lattice = Lattice.over(width, height)
        self._source = source.landmarks
        self._pose = head_frame(source.landmarks)
        nodes = self.lattice.nodes()
        self._nodes = nodes
        outside = _distance_to_oval(nodes, source.landmarks) / self._pose.scale
        weights = _vertex_weights(nodes, source.landmarks, self._pose.scale)
        self._expression = (weights * _fall(outside / EXPRESSION_REACH)[..., None]).astype(np.float32)
        round_off = 1.0 - _fall(outside / HEAD_BACK)
        depth = weights @ source.landmarks[: lm.MESH, 2].astype(np.float32)
        depth = depth + round_off * (self._pose.translation[2] - depth)
        self._head = self._pose.apply_inverse(np.concatenate([nodes, depth[..., None]], axis=2))
        self._round_off = round_off[..., None]
        self._hold, self._follow, self._pin = self._fades(source, nodes)

    def inverse(self, motion: DriveFrame) -> Map:
        """For each lattice node of the drawn frame, the source pixel (rows, columns, 2) it shows."""
        return invert(self.displacement(motion), self.lattice)

    def displacement(self, motion: DriveFrame) -> Map:
        """Where each lattice node of the source moves, in pixels (rows, columns, 2); never folds."""
        pose = motion.pose
        turned = pose.apply(self._head)[..., :2]
        flat = _in_plane(self._nodes, self._pose, pose)
        moved = turned + self._round_off * (flat - turned) - self._nodes
        own = pose.apply(self._pose.apply_inverse(self._source[: lm.MESH]))[:, :2]
        residual = (motion.landmarks[: lm.MESH, :2] - own).astype(np.float32)
        moved = moved + self._expression @ residual
        shift = (pose.translation - self._pose.translation)[:2]
        field = self._pin * (self._hold * moved + self._follow * shift)
        return unfolded(field.astype(np.float32), self.lattice.step)

    def _fades(self, source: SourceLayers, nodes: Array) -> tuple[Array, Array, Array]:
        """Shares of the head's motion (rows, columns, 1), of its plain shift and of all motion (rows, columns, 2)."""
        height = source.alpha.shape[0]
        down = self._pose.rotation[:2, 1]
        down = np.array([0.3 * down[0], max(down[1], 0.5)])
        chin = self._source[lm.CHIN, :2]
        below = ((nodes - chin) @ (down / np.linalg.norm(down))) / self._pose.scale
        hold = _fall((below - NECK_TOP) / NECK_LENGTH)
        bottom = height - 1.0
        towards_bottom = _fall(1.0 - (bottom - nodes[..., 1]) / max(bottom - chin[1], 1.0))
        sway = SHOULDERS_SWAY * (towards_bottom if source.anchored else np.ones_like(hold))
        follow = (1.0 - hold)[..., None] * np.stack([sway, SHOULDERS_RISE * towards_bottom], axis=2)
        return hold[..., None], follow, _pinned(source, nodes)


def _pinned(source: SourceLayers, nodes: Array) -> Array:
    """0 along the edges that must stay put, 1 inside, for x and y (rows, columns, 2).

    Edges of an anchored picture stay where they cut the subject off. Otherwise the subject may slide along the
    edges and through the sides, but not leave the lower edge, nor the upper one where it reaches that.
    """
    alpha = source.alpha
    height, width = alpha.shape
    band = PINNED * max(width, height)
    x, y = nodes[..., 0], nodes[..., 1]
    edges = (
        (alpha[0], y, False),
        (alpha[-1], height - 1 - y, False),
        (alpha[:, 0], x, True),
        (alpha[:, -1], width - 1 - x, True),
    )
    result = np.ones((*nodes.shape[:2], 2))
    for along, distance, is_side in edges:
        if float(np.max(along)) <= 0.1:
            continue
        still = 1.0 - _fall(distance / band)
        if source.anchored:
            result *= still[..., None]
        elif not is_side:
            result[..., 1] *= still
    return result


def _fall(t: NDArray[np.floating[Any]]) -> Array:
    """1 at t <= 0, 0 at t >= 1, smooth between."""
    s = np.clip(1.0 - np.asarray(t, np.float64), 0.0, 1.0)
    return np.asarray(s * s * (3.0 - 2.0 * s), np.float64)


def _distance_to_oval(nodes: Array, landmarks: Array) -> Array:
    """Distance in pixels (rows, columns) from the face's oval, 0 inside."""
    import cv2

    outline = landmarks[list(lm.FACE_OVAL), :2].astype(np.float32).reshape(-1, 1, 2)
    flat = [max(0.0, -cv2.pointPolygonTest(outline, (float(x), float(y)), True)) for x, y in nodes.reshape(-1, 2)]
    return np.array(flat).reshape(nodes.shape[:2])


def _vertex_weights(nodes: Array, landmarks: Array, scale: float) -> Map:
    """Weights (rows, columns, 468) that sum to 1: Gaussian in the distance beyond the nearest vertex."""
    points = landmarks[: lm.MESH, :2]
    square = np.sum((nodes[:, :, None, :] - points) ** 2, axis=3)
    nearest = np.sqrt(square.min(axis=2, keepdims=True))
    # Farther out more vertices take part, so that the field there is as smooth as it is far away.
    sigma = 0.07 * scale + 0.35 * nearest
    weights = np.exp(-(square - nearest**2) / (2.0 * sigma**2))
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), np.float32)


def _in_plane(nodes: Array, source: Similarity, target: Similarity) -> Array:
    """The nodes after the part of the head's motion that lies in the picture: shift, roll and scale about its axis.

    The outline of a round head does not narrow when it turns, so hair at the outline follows this, not the turn.
    """
    turn = target.rotation @ source.rotation.T
    roll = float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
    ratio = target.scale / source.scale
    matrix = ratio * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    result: Array = (nodes - source.translation[:2]) @ matrix.T + target.translation[:2]
    return result
