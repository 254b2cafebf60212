"""How everything around the face moves with it: hair, ears and hat in 3-D, the neck fading to the shoulders."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import fall, rise
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.grid import Lattice, Map, invert, without_folds
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
ANCHORED = 0.25
"""Of that, what is left where the picture's edges stand still: shoulders between them would be drawn like rubber."""
BODY_BELOW, BODY_ASIDE = (-0.4, 0.2), (0.7, 1.5)
"""There, what lies so far below the chin and so far aside of it is body, not head, and takes no part in its turns."""
SHORTEST_NECK = 0.35
"""Where the picture ends soon below the chin the motion fades faster, but not faster than over this length."""
FOOT = 0.25
"""Over this length above the picture's lower edge the head's motion ends, where the neck has not ended it: but for
necks that are cut off as soon as the shortest one, and in anchored pictures."""
PINNED = 0.07
"""An edge of an anchored picture is left alone over this share of the picture."""
STANDING = 1.2
"""Shoulders that the picture's side cuts off stay there and stretch over this length."""
CUT_HEAD = 0.3
"""What takes part in at least this share of the head's motion is held at the picture's edge that cuts it off."""
EDGE_POINTS = 96
"""As many points of the edges that cut the subject off are looked at in each frame."""


@dataclass(frozen=True)
class Surface:
    """What points (rows, columns) of the source do when the head moves; every field begins with (rows, columns).

    places (2): in pixels. head (3): in head coordinates. expression (468): share of each landmark's own motion.
    round_off (1): 0 on the face, 1 at the outline, which does not narrow in a turn. hold (1): share of the head's
    motion. follow (2): share of its plain shift. free (1): 0 where nothing may move.
    """

    places: Array
    head: Array
    expression: Map
    round_off: Array
    hold: Array
    follow: Array
    free: Array

    @cached_property
    def _terms(self) -> tuple[Array, Array]:
        """What a move of the head is a sum of at each point, for one product: (N, 9), and (N, 2) what is taken off."""
        held = self.free * self.hold
        terms = (
            held * (1.0 - self.round_off) * self.head,
            held * self.round_off * self.places,
            held * self.round_off,
            held,
            self.free * self.follow,
        )
        return np.concatenate(terms, axis=2).reshape(-1, 9), (held * self.places).reshape(-1, 2)

    @cached_property
    def _reached(self) -> tuple[NDArray[np.intp], Map]:
        """Flat indices (N,) of the points that the face's expression reaches, and what each landmark's own motion moves
        them by (N, 468).
        """
        flat = self.expression.reshape(-1, self.expression.shape[-1])
        reached = np.flatnonzero(flat.any(1))
        held = (self.free * self.hold).reshape(-1, 1)
        return reached, (held[reached] * flat[reached]).astype(np.float32)

    def only(self, rows: NDArray[Any]) -> "Surface":
        """These rows."""
        return Surface(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def moved(self, motion: DriveFrame, source: Similarity, residual: Map) -> Array:
        """How far each point moves in pixels (rows, columns, 2); it may fold.

        residual: (468, 2) what the landmarks do beside moving with the head, in pixels.
        """
        # The outline of a round head does not narrow when it turns, so hair there follows the part of the motion that
        # lies in the picture: shift, roll and scale about the head's axis.
        turn, pose = motion.pose.rotation @ source.rotation.T, motion.pose
        roll = float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
        flat = pose.scale / source.scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        shift = (pose.translation - source.translation)[:2]
        ways = pose.scale * pose.rotation[:2].T, flat, -source.translation[None, :2] @ flat, pose.translation[None, :2]
        (terms, off), (reached, shares) = self._terms, self._reached
        moved = terms @ np.concatenate([*ways, np.diag(shift)])
        moved -= off
        moved[reached] += shares @ residual
        return np.asarray(moved.reshape(self.places.shape), np.float64)


class HeadField:
    """The displacement field of a source; `inverse` gives the sampling map for one pose.

    Args:
        source: the layers.
        canvas: what is sampled; its matte and edges say where the subject is cut off.
    """

    def __init__(self, source: SourceLayers, canvas: Canvas) -> None:
        height, width = source.alpha.shape
        rows, columns = canvas.pixels.shape[:2]
        margins = canvas.left, canvas.top, columns - canvas.left - width, rows - canvas.top - height
        self.lattice = Lattice.over(width, height, margins)
        self._source, self._pose = source.landmarks, head_frame(source.landmarks)
        self._lowest = np.float32(canvas.known[3] + canvas.reach_px)
        points, inwards = canvas.cut_points()
        some = np.linspace(0, len(points) - 1, min(len(points), EDGE_POINTS)).astype(int)
        self._points, self._inwards = points[some], inwards[some]
        nodes = self.lattice.nodes()
        self._surface = self._of(nodes, canvas, source.anchored)
        if source.anchored:
            self._surface = replace(self._surface, free=_still(source, nodes))
        edge = self._of(self._points[:, None], canvas, source.anchored)
        on_head = edge.hold[:, 0, 0] > CUT_HEAD
        self._edge, self._inwards = edge.only(on_head), self._inwards[on_head]

    def inverse(self, motion: DriveFrame) -> Map:
        """For each of the lattice's `shown` nodes the source pixel (h, w, 2) that the drawn frame has there."""
        inverse = invert(self.displacement(motion), self.lattice)
        # Where folds had to be smoothed away, shoulders may have left the edge that they stand on.
        np.minimum(inverse[..., 1], self._lowest, out=inverse[..., 1])
        return inverse

    def displacement(self, motion: DriveFrame) -> Map:
        """How far each lattice node of the source moves, in pixels (rows, columns, 2), smoothed where it would fold."""
        field = self._surface.moved(motion, self._pose, self._residual(motion))
        return without_folds(field.astype(np.float32), self.lattice.step)

    def uncovered(self, motion: DriveFrame) -> tuple[Array, Array]:
        """How far points of edges that cut the head off move, in pixels (N, 2), and the ways inwards there (N, 2)."""
        return self._edge.moved(motion, self._pose, self._residual(motion))[:, 0], self._inwards

    def _residual(self, motion: DriveFrame) -> Map:
        own = motion.pose.apply(self._pose.apply_inverse(self._source[: lm.MESH]))
        return (motion.landmarks[: lm.MESH, :2] - own[:, :2]).astype(np.float32)

    def _of(self, places: Array, canvas: Canvas, anchored: bool) -> Surface:
        """The surface at points (rows, columns, 2)."""
        scale = self._pose.scale
        outside = _distance_to_oval(places, self._source) / scale
        weights = _vertex_weights(places, self._source, scale)
        expression = (weights * fall(outside / EXPRESSION_REACH)[..., None]).astype(np.float32)
        round_off = 1.0 - fall(outside / HEAD_BACK)
        depth = weights @ self._source[: lm.MESH, 2].astype(np.float32)
        depth = depth + round_off * (self._pose.translation[2] - depth)
        head = self._pose.apply_inverse(np.concatenate([places, depth[..., None]], axis=2))
        hold, follow = self._fades(places, canvas, anchored)
        return Surface(places, head, expression, round_off[..., None], hold, follow, np.ones_like(hold))

    def _fades(self, places: Array, canvas: Canvas, anchored: bool) -> tuple[Array, Array]:
        """Shares of the head's motion (rows, columns, 1) and of its plain shift (rows, columns, 2)."""
        scale, bottom = self._pose.scale, canvas.known[3]
        down = self._pose.rotation[:2, 1]
        down = np.array([0.3 * down[0], max(down[1], 0.5)])
        chin = self._source[lm.CHIN, :2]
        below = ((places - chin) @ (down / np.linalg.norm(down))) / scale
        neck = float(np.clip((bottom - chin[1]) / scale, SHORTEST_NECK, NECK_LENGTH))
        hold = fall((below - NECK_TOP) / neck)
        standing = self._standing(places)
        if not anchored:
            # What hardly moves with the head stays at the edges that cut it off; of the rest the limits take care.
            hold = hold * (standing + (1.0 - standing) * (1.0 - fall(hold / CUT_HEAD - 1.0)))
            if neck > SHORTEST_NECK:
                hold = hold * (1.0 - fall((bottom - places[..., 1]) / scale / FOOT))
        towards_bottom = fall(1.0 - (bottom - places[..., 1]) / max(bottom - chin[1], 1.0))
        sway = SHOULDERS_SWAY * (towards_bottom if anchored else standing)
        follow = (1.0 - hold)[..., None] * np.stack([sway, SHOULDERS_RISE * towards_bottom], axis=2)
        if anchored:
            aside = np.abs((places - chin) @ np.array([down[1], -down[0]]) / np.linalg.norm(down)) / scale
            hold = hold * (1.0 - rise(below, *BODY_BELOW) * rise(aside, *BODY_ASIDE))
            follow = ANCHORED * follow
        return hold[..., None], follow

    def _standing(self, places: Array) -> Array:
        """0 at those sides of the picture that cut the subject off, 1 from some way inside on (rows, columns)."""
        result = np.ones(places.shape[:2])
        for way in ((1.0, 0.0), (-1.0, 0.0)):
            cut = self._points[self._inwards[:, 0] == way[0]]
            if len(cut):
                inside = (places[..., 0] - cut[0, 0]) * way[0] / self._pose.scale
                result = result * (1.0 - fall(inside / STANDING))
        return result


def _still(source: SourceLayers, nodes: Array) -> Array:
    """0 along those edges of an anchored picture that cut the subject off, 1 inside (rows, columns, 1)."""
    alpha = source.alpha
    height, width = alpha.shape
    band = PINNED * max(width, height)
    x, y = nodes[..., 0], nodes[..., 1]
    edges = (alpha[0], y), (alpha[-1], height - 1 - y), (alpha[:, 0], x), (alpha[:, -1], width - 1 - x)
    result = np.ones(nodes.shape[:2])
    for along, distance in edges:
        if float(np.max(along)) > 0.1:
            result *= 1.0 - fall(distance / band)
    return result[..., None]


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
