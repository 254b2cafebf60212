"""Skin around the lips gives way before them: lips that move over it would fold the face's mesh.

Trackers leave the skin below and above the lips behind where a mouth opens wide, and lips that keep their form in
another face reach farther than the driver's. Drawn so, lips lie on the face like a piece of paper, with shreds at their
outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import fall, held

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

NEAREST, FREE = 0.6, 0.9
"""How near skin comes to the lips' outline, as a share of its distance in the source: at the first it stops, down to
the second nothing is changed."""
NEAREST_NOSE, FREE_NOSE = 0.5, 0.65
"""The same for the upper lip below the nose: broad smiles bring it near."""
REACH = (0.35, 0.55)
"""In head units from the outline: up to the first skin gives way as it must, beyond the second it stays."""
CORNERS_TAKE_PART = 0.7
"""An upper lip that is held down takes the corners of the mouth along by this share."""
WAYS_TURN = 0.5
"""Skin gives way across the outline as it is now by this share, and across that of the source."""
NOSE_SPARED = 0.1
"""In head units from the nose, which is bone and gristle: up to there skin gives way by less and less."""
_SUBNASALE = 2
_NOSE = (
    1, 2, 4, 5, 19, 94, 195, 20, 44, 45, 48, 49, 51, 59, 60, 64, 75, 79, 97, 98, 99, 102, 115, 125, 131, 134, 141, 166,
    218, 219, 220, 235, 237, 238, 239, 240, 241, 242, 250, 274, 275, 278, 279, 281, 289, 290, 294, 305, 309, 326, 327,
    328, 331, 344, 354, 360, 363, 370, 392, 438, 439, 440, 455, 457, 458, 459, 460, 461, 462,
)  # fmt: skip
_OUTLINE = lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER)
_LIPS = sorted({i for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for i in row})
_UPPER, _LOWER = np.array(lm.UPPER_LIP_ROWS), np.array(lm.LOWER_LIP_ROWS)
_TOP = [37, 0, 267]


@dataclass(frozen=True)
class AroundLips:
    """The skin around a source's lips, in head coordinates.

    points: (P,) landmarks. first, second: (P,) the corners, among the outline's, of the piece of it that is nearest to
    each. share: (P,) where on that piece. ways: (P, 2) from there to the point, of length 1. alongs: (P, 2) along the
    outline there. distances: (P,) from there. weights: (P,) 1 near the lips, 0 far from them and on the nose.
    height: from the upper lip to the nose.
    """

    points: Indices
    first: Indices
    second: Indices
    share: Array
    ways: Array
    alongs: Array
    distances: Array
    weights: Array
    height: float

    @staticmethod
    def of(shape: Array) -> AroundLips:
        """That of a source's landmarks (478, 3)."""
        outline = shape[list(_OUTLINE), :2]
        count = len(outline)
        begin, edge = outline, np.roll(outline, -1, axis=0) - outline
        others = np.setdiff1d(np.arange(lm.MESH), _LIPS)
        offset = shape[others, None, :2] - begin
        share = np.clip((offset * edge).sum(2) / np.maximum((edge**2).sum(1), 1e-12), 0.0, 1.0)
        ways = offset - share[..., None] * edge
        distance = np.linalg.norm(ways, axis=2)
        first = distance.argmin(1)
        row = np.arange(len(others))
        share, ways, distance = share[row, first], ways[row, first], distance[row, first]
        weights = fall(distance, *REACH)
        near = (weights > 0.0) & (distance > 1e-4)
        first, share, distance = first[near], share[near], distance[near]
        second = (first + 1) % count
        to_nose = np.linalg.norm(shape[others, None, :2] - shape[list(_NOSE), :2], axis=2).min(1)
        weights = (weights * (1.0 - fall(to_nose, 0.0, NOSE_SPARED)))[near]
        height = float(shape[_TOP, 1].mean() - shape[_SUBNASALE, 1])
        ways = ways[near] / distance[:, None]
        alongs = _alongs(outline, first, second, share)
        return AroundLips(others[near], first, second, share, ways, alongs, distance, weights, height)

    def given_way(self, shape: Array) -> Array:
        """The shape (478, 3) whose skin keeps its distance from the lips, and whose upper lip does from the nose."""
        result = shape.copy()
        self._bring_upper_lip_down(result)
        outline = result[list(_OUTLINE), :2]
        place = outline[self.first] + self.share[:, None] * (outline[self.second] - outline[self.first])
        ways = self._turned(outline)
        now = ((result[self.points, :2] - place) * ways).sum(1) / self.distances
        push = self.weights * self.distances * (_limited(now) - now)
        result[self.points, :2] += push[:, None] * ways
        return result

    def _turned(self, outline: Array) -> Array:
        """The ways (P, 2) from an outline (N, 2), turned as its pieces are: beside a wide mouth lips are upright."""
        now = _alongs(outline, self.first, self.second, self.share)
        cosine, sine = (now * self.alongs).sum(1), now[:, 1] * self.alongs[:, 0] - now[:, 0] * self.alongs[:, 1]
        angle = WAYS_TURN * np.arctan2(sine, cosine)
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y = self.ways.T
        return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=1)

    def _bring_upper_lip_down(self, shape: Array) -> None:
        """Bring the upper lip down, in place, as far as it would be too near to the nose: that does not give way."""
        if self.height < 1e-3:
            return
        now = float(shape[_TOP, 1].mean() - shape[_SUBNASALE, 1]) / self.height
        down = float(_limited(np.array([now]), NEAREST_NOSE, FREE_NOSE)[0] - now) * self.height
        if down > 0.0:
            # Less at the corners, and lips that are together stay so.
            moved = down * (1.0 - (1.0 - CORNERS_TAKE_PART) * np.linspace(-1.0, 1.0, _UPPER.shape[1]) ** 4)
            room = np.maximum(shape[_LOWER[-1], 1] - shape[_UPPER[-1], 1], 0.0)
            shape[_UPPER, 1] += moved
            shape[_LOWER[:, 1:-1], 1] += np.maximum(moved - room, 0.0)[1:-1]


def _alongs(outline: Array, first: Indices, second: Indices, share: Array) -> Array:
    """Directions (P, 2) along a closed outline (N, 2) at shares of its pieces: between those of its corners."""
    edges = np.roll(outline, -1, axis=0) - outline
    edges /= np.maximum(np.linalg.norm(edges, axis=1, keepdims=True), 1e-9)
    corners = edges + np.roll(edges, 1, axis=0)
    return np.asarray(corners[first] + share[:, None] * (corners[second] - corners[first]), np.float64)


def _limited(share: Array, nearest: float = NEAREST, free: float = FREE) -> Array:
    """Shares of a distance, none below `nearest`, approached smoothly from `free` on."""
    room = free - nearest
    return -held(-share, -free, room)
