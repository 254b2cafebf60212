"""Smaller triangles at the lips' outline: what moves far there bends smoothly instead of breaking at each landmark.

Edges are halved. The new point lies where its edge's middle does in the source; in a frame it leaves the middle as the
neighbours' places bend, by a quadratic function of the source's pixels fitted to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

MOST_BENT = 0.2
"""A new point leaves the middle of its edge by at most this share of the edge's length."""
CALM = 0.02
"""How far a fit rather stays straight than bends: of bends that few neighbours tell of."""
_UPPER = frozenset(point for row in lm.UPPER_LIP_ROWS for point in row[1:-1])
_LOWER = frozenset(point for row in lm.LOWER_LIP_ROWS for point in row[1:-1])


@dataclass(frozen=True)
class Finer:
    """Triangles (T, 3) of the landmarks (468) and of points halfway between pairs (E, 2) of them.

    bends: (E, 468) what the points leave the middles by, from the landmarks' places.
    """

    triangles: Indices
    pairs: Indices
    bends: Array

    @staticmethod
    def of(landmarks: Array) -> Finer:
        """Those of a source's landmarks (468 or more, 3)."""
        triangles, pairs = _halved()
        return Finer(triangles, pairs, _bends(landmarks[: lm.MESH, :2], pairs))

    def middles(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (468 + E, ...) of all points from those (468 or more, ...) of the landmarks."""
        own = values[: lm.MESH]
        return np.concatenate([own, (own[self.pairs[:, 0]] + own[self.pairs[:, 1]]) / 2])

    def bent(self, landmarks: Array) -> Array:
        """Places (468 + E, 3) of all points in a frame with the landmarks (468 or more, 3)."""
        result = self.middles(landmarks)
        ends = landmarks[self.pairs, :2]
        way = self.bends @ landmarks[: lm.MESH, :2]
        most = MOST_BENT * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        far = np.maximum(np.linalg.norm(way, axis=1) / np.maximum(most, 1e-9), 1.0)
        result[lm.MESH :, :2] += way / far[:, None]
        return np.asarray(result, np.float64)


@lru_cache(maxsize=1)
def _neighbours() -> tuple[frozenset[int], ...]:
    """For each landmark those that it shares a triangle with."""
    result: list[set[int]] = [set() for _ in range(lm.MESH)]
    for triangle in lm.surface_triangles().tolist():
        for point in triangle:
            result[point].update(triangle)
    return tuple(frozenset(near) for near in result)


@lru_cache(maxsize=1)
def _halved() -> tuple[Indices, Indices]:
    """The mesh with the edges at the lips' outline halved: its triangles (T, 3), and those edges (E, 2)."""
    outline = {*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER}
    edges = sorted({
        (min(a, b), max(a, b))
        for corners in lm.surface_triangles().tolist()
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
        if a in outline or b in outline
    })  # fmt: skip
    number = {edge: lm.MESH + k for k, edge in enumerate(edges)}
    result: list[tuple[int, int, int]] = []
    for a, b, c in [*lm.surface_triangles().tolist(), *lm.opening_triangles().tolist()]:
        result += _parts((a, b, c), [number.get((min(i, j), max(i, j))) for i, j in ((a, b), (b, c), (c, a))])
    return np.array(result, np.intp), np.array(edges, np.intp)


def _parts(corners: tuple[int, int, int], middles: list[int | None]) -> list[tuple[int, int, int]]:
    """A triangle, cut where its edges (first to second corner, and so on) have points in their middles."""
    for turn in range(3):
        # The cuts of a triangle with one or two points are those of the case in which its last edge has none.
        (a, b, c), (ab, bc, ca) = corners[turn:] + corners[:turn], middles[turn:] + middles[:turn]
        if ca is not None or ab is None:
            continue
        return [(a, ab, c), (ab, b, c)] if bc is None else [(a, ab, c), (ab, bc, c), (ab, b, bc)]
    first, second, third = middles
    if first is None or second is None or third is None:
        return [corners]
    a, b, c = corners
    return [(a, first, third), (first, b, second), (third, second, c), (first, second, third)]


def _bends(places: Array, pairs: Indices) -> Array:
    """What each pair's middle leaves the straight line by: weights (E, 468) of the landmarks' places in a frame."""
    near = _neighbours()
    result = np.zeros((len(pairs), lm.MESH))
    for row, (a, b) in enumerate(pairs.tolist()):
        around = {other for point in near[a] | near[b] for other in near[point]}
        # Lips that touch go apart: each bends by its own.
        if {a, b} & _UPPER:
            around -= _LOWER
        elif {a, b} & _LOWER:
            around -= _UPPER
        some = np.array(sorted(around))
        middle, length = places[[a, b]].mean(0), max(float(np.linalg.norm(places[a] - places[b])), 1e-6)
        x, y = ((places[some] - middle) / length).T
        weight = np.exp(-(x**2 + y**2) / 8.0)[:, None]
        fitted = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
        calm = np.diag([1e-9, 1e-9, 1e-9, CALM, CALM, CALM]) * float(weight.sum())
        solved = np.linalg.solve(fitted.T @ (weight * fitted) + calm, (weight * fitted).T)
        # The quadratic part at the middle, over its mean at both ends.
        u, v = (places[b] - places[a]) / (2.0 * length)
        result[row, some] = -(solved[3] * u * u + solved[4] * u * v + solved[5] * v * v)
    return result
