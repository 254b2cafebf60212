"""Triangles as runs of pixels in rows: what is linear over a triangle costs a sum for each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float64], NDArray[np.complex128])
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Spans:
    """Runs of pixels (S,), from the farthest triangle to the nearest: of several in one place the last one is seen.

    triangles: the one that each is of. rows, columns: of its first pixel. counts: of its pixels. The pixels (P,) of all
    of them follow one another.
    """

    triangles: Places
    rows: Places
    columns: Places
    counts: Places

    @staticmethod
    def of(corners: Array, shape: tuple[int, int]) -> Spans:
        """Where the centres of a picture's pixels (height, width) lie in front-facing triangles (T, 3, 3).

        Triangles that share an edge leave no gap between them and do not overlap: both compute the edge's crossings
        with the rows from the same end, and a span holds its first centre but not its last.
        """
        height, width = shape
        order = np.argsort(-corners[:, :, 2].mean(1))
        order = order[area(corners)[order] > 1e-6]
        points = corners[order, :, :2]
        points = np.take_along_axis(points, np.argsort(points[..., 1], axis=1)[..., None], axis=1)
        first, last = (np.clip(np.ceil(points[:, end, 1]), 0, height).astype(np.intp) for end in (0, 2))
        heights = np.maximum(last - first, 0)
        which = np.repeat(np.arange(len(order)), heights)
        rows = np.arange(len(which)) + np.repeat(first - (np.cumsum(heights) - heights), heights)
        # Edges from the top corner down: the long one, and the two of the other side.
        edges = np.stack([_edge(points[:, upper], points[:, lower]) for upper, lower in ((0, 2), (0, 1), (1, 2))])
        lower = rows >= np.take(points[:, 1, 1], which)
        a, b = _crossing(edges[0], which, rows), _crossing(edges[1:].reshape(-1, 3), which + lower * len(order), rows)
        left, right = (np.clip(np.ceil(x), 0, width).astype(np.intp) for x in (np.minimum(a, b), np.maximum(a, b)))
        some = np.flatnonzero(right > left)
        return Spans(order[np.take(which, some)], np.take(rows, some), np.take(left, some), np.take(right - left, some))

    @cached_property
    def steps(self) -> Places:
        """The number (P,) of each pixel in its span."""
        begins = self.spread(np.cumsum(self.counts) - self.counts)
        return np.asarray(np.arange(len(begins)) - begins, np.intp)

    def places(self, width: int) -> Places:
        """Flat indices (P,) of the pixels in a picture of that width."""
        return np.asarray(self.steps + self.spread(self.rows * width + self.columns), np.intp)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (P,) of the pixels from values (S,) of the spans."""
        return np.repeat(values, self.counts)

    def at(self, planes: Values) -> tuple[Values, Values]:
        """Values (S,) at the first pixel of each span, and what they rise by from one pixel to the next.

        planes: coefficients (3, T) of a x + b y + c over each triangle.
        """
        rise, down, begin = (np.take(plane, self.triangles) for plane in planes)
        return rise * self.columns + down * self.rows + begin, rise

    def numbers(self, these: NDArray[np.bool_]) -> Places:
        """The numbers (N,) that the pixels of these spans (S,) have among all."""
        counts = self.counts[these]
        begins = (np.cumsum(self.counts) - self.counts)[these] - (np.cumsum(counts) - counts)
        return np.asarray(np.arange(int(counts.sum())) + np.repeat(begins, counts), np.intp)

    def some(self, these: NDArray[np.bool_]) -> Spans:
        """These spans (S,)."""
        return Spans(self.triangles[these], self.rows[these], self.columns[these], self.counts[these])


def area(corners: Array) -> Array:
    """Twice the area (T,) of triangles (T, 3, 2 or more) as seen; negative for those that face away."""
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0], np.float64)


def planes_over(corners: Array, values: Values) -> Values:
    """Coefficients (3, T) of a x + b y + c over each triangle (T, 3, 3), from values (T, 3) at its corners."""
    x0, y0 = corners[:, 0, 0], corners[:, 0, 1]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    rise1, rise2 = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    twice = area(corners)
    safe = np.where(np.abs(twice) > 1e-6, twice, 1.0)
    a = (rise1 * edge2[:, 1] - rise2 * edge1[:, 1]) / safe
    b = (rise2 * edge1[:, 0] - rise1 * edge2[:, 0]) / safe
    return np.stack([a, b, values[:, 0] - a * x0 - b * y0])


def _edge(upper: Array, lower: Array) -> Array:
    """Of edges between points (T, 2) the upper end's x and y, and how far x moves with y: (T, 3)."""
    way = (lower[:, 0] - upper[:, 0]) / np.maximum(lower[:, 1] - upper[:, 1], 1e-12)
    return np.stack([upper[:, 0], upper[:, 1], way], axis=1)


def _crossing(edges: Array, which: Places, rows: Places) -> Array:
    """The x (S,) at which some of the edges (T, 3) cross rows."""
    # Column by column: rows of three are looked up several times as slowly.
    x, y, way = (np.take(column, which) for column in edges.T)
    return np.asarray(x + (rows - y) * way, np.float64)
