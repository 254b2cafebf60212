"""Coarse displacement grids: folding is taken out of them, then they are inverted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample
from avatarkit.systems.landmark_warp.openings import Region

Array = NDArray[np.float64]
Map = NDArray[np.float32]

LEAST_DETERMINANT = 0.15
"""A cell keeps at least this share of its area; below it the field is smoothed until it does."""
LEAST_CORNER = 0.03
"""The same of each corner of a cell, which central differences do not see: a single cell may fold between nodes."""
SMOOTHING_ROUNDS = 40
NEWTON_STEPS = 7
CLOSE, STUCK = 0.014, 0.8
"""They end where all points are as near as the first share of a cell, or where after three the farthest one keeps more
than the second share of its distance: the rest goes to and fro by what sampling rounds."""
BAND_PX, BESIDE_PX = 128, 4
"""Of what is drawn of a frame: the height of its rectangles, and what they hold around the subject."""


@dataclass(frozen=True)
class Lattice:
    """Regular nodes over a picture and a margin around it, so placed that `enlarged` is one resize.

    width, height: of the picture in pixels. step: distance of nodes in pixels, a whole number. left, top: nodes before
    the picture's first. columns, rows: number of all nodes.
    """

    width: int
    height: int
    step: int
    left: int
    top: int
    columns: int
    rows: int

    @staticmethod
    def over(
        width: int, height: int, margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0), cells: int = 64
    ) -> "Lattice":
        """A lattice with about `cells` cells along the longer side, reaching beyond the picture by margins in pixels.

        margins: to the left, above, to the right and below; two more nodes stand beyond each.
        """
        step = max(2, round(max(width, height) / cells))
        left, top, right, bottom = (int(np.ceil(margin / step)) + 2 for margin in margins)
        across, down = -(-width // step), -(-height // step)
        return Lattice(width, height, step, left, top, left + across + right, top + down + bottom)

    @property
    def _first(self) -> float:
        """Position of the picture's first node, along either axis."""
        return (self.step - 1) / 2.0

    def nodes(self) -> Array:
        """Positions (rows, columns, 2) in pixels."""
        x = self._first + self.step * (np.arange(self.columns) - self.left)
        y = self._first + self.step * (np.arange(self.rows) - self.top)
        return np.stack(np.meshgrid(x, y), axis=2)

    @property
    def shown(self) -> tuple[slice, slice]:
        """Rows and columns of the nodes between which the picture lies."""
        across, down = -(-self.width // self.step), -(-self.height // self.step)
        return slice(self.top - 1, self.top + down + 1), slice(self.left - 1, self.left + across + 1)

    def sample(self, values: Map, points: Map) -> Map:
        """Values (rows, columns, C <= 4) at points (h, w, 2) in pixels, bilinear, clamped at the rim."""
        first = self._first - self.step * np.array([self.left, self.top])
        index = (points - first.astype(np.float32)) * np.float32(1.0 / self.step)
        return sample(values, index)

    def enlarged(self, values: Map, part: Region) -> Map:
        """Values at the `shown` nodes (h, w, C) at each pixel of a part of the picture (h, w, C), bilinear."""
        import cv2

        # With a node to spare on either side; the first of the shown nodes stands a step before the picture's.
        first = [side // self.step for side in (part.top, part.left)]
        last = [-(-side // self.step) + 2 for side in (part.bottom, part.right)]
        near = values[first[0] : last[0], first[1] : last[1]]
        size = near.shape[1] * self.step, near.shape[0] * self.step
        whole = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
        top, left = ((1 - node) * self.step + side for node, side in zip(first, (part.top, part.left), strict=True))
        return np.asarray(whole[top : top + part.bottom - part.top, left : left + part.right - part.left], np.float32)

    def at(self, values: Map, x: NDArray[np.integer[Any]], y: NDArray[np.integer[Any]]) -> Map:
        """Values at the `shown` nodes (h, w) at the crossings (len(y), len(x)) of columns and rows in pixels, bilinear.

        What lies beyond the nodes has the values of the last ones.
        """
        across, down = (self._weights(places, nodes) for places, nodes in zip((x, y), values.shape[::-1], strict=True))
        return np.asarray(down @ values @ across.T, np.float32)

    def _weights(self, places: NDArray[np.integer[Any]], nodes: int) -> Map:
        """What each of the `shown` nodes along an axis counts at places in pixels, (len(places), nodes)."""
        at = np.clip((places - self._first) / self.step + 1.0, 0.0, nodes - 1.0)
        return np.asarray(np.maximum(1.0 - np.abs(at[:, None] - np.arange(nodes)), 0.0), np.float32)

    def bands(self, cells: NDArray[np.bool_], others: Sequence[Region]) -> list[Region]:
        """Rectangles below one another around cells between `shown` nodes (h - 1, w - 1), and around other regions.

        Each has as many rows as `BAND_PX`, but for the last, and begins and ends with what it has to cover, the cells
        with `BESIDE_PX` around them.
        """
        result = []
        for top in range(0, self.height, BAND_PX):
            bottom = min(top + BAND_PX, self.height)
            # The first cell begins a step before the picture's first node.
            edges = top - BESIDE_PX, bottom + BESIDE_PX
            first, last = (math.floor((edge - self._first) / self.step) + 1 for edge in edges)
            columns = np.flatnonzero(cells[max(first, 0) : last + 1].any(0))
            sides = [(other.left, other.right) for other in others if other.top < bottom and other.bottom > top]
            if len(columns):
                ends = ((cell - 1) * self.step + self._first for cell in (int(columns[0]), int(columns[-1]) + 1))
                left, right = math.floor(next(ends)) - BESIDE_PX, math.ceil(next(ends)) + BESIDE_PX + 1
                sides.append((max(left, 0), min(right, self.width)))
            if sides:
                result.append(Region(min(side[0] for side in sides), top, max(side[1] for side in sides), bottom))
        return result


def jacobian(displacement: Map, step: float) -> Map:
    """Derivative (rows, columns, 4) of node + displacement: dx/dx, dx/dy, dy/dx, dy/dy."""
    result = np.empty((*displacement.shape[:2], 4), np.float32)
    # Along both axes: of x and y at once, between the neighbours, and at either end towards the only one.
    for values, slopes in ((displacement, result[..., 0::2]), (np.swapaxes(displacement, 0, 1), result[..., 1::2])):
        to = slopes if values is displacement else np.swapaxes(slopes, 0, 1)
        np.multiply(values[:, 2:] - values[:, :-2], np.float32(0.5 / step), out=to[:, 1:-1])
        np.multiply(values[:, 1:2] - values[:, :1], np.float32(1.0 / step), out=to[:, :1])
        np.multiply(values[:, -1:] - values[:, -2:-1], np.float32(1.0 / step), out=to[:, -1:])
    result[..., 0::3] += np.float32(1.0)
    return result


def determinant(derivative: Map) -> Map:
    """Determinant (rows, columns) of a jacobian."""
    return np.asarray(derivative[..., 0] * derivative[..., 3] - derivative[..., 1] * derivative[..., 2], np.float32)


def corner_share(displacement: Map, step: float) -> Map:
    """For each node (rows, columns) the least area of the cells' corners around it, in shares of an undisturbed one."""
    # Planes of x and y: they are gone through in one piece.
    x, y = np.ascontiguousarray(np.moveaxis(displacement, 2, 0))
    size = np.float32(step)
    right_x, right_y = (x[:, 1:] - x[:, :-1]) / size + np.float32(1.0), (y[:, 1:] - y[:, :-1]) / size
    down_x, down_y = (x[1:] - x[:-1]) / size, (y[1:] - y[:-1]) / size + np.float32(1.0)
    least = np.full(x.shape, np.inf, np.float32)
    for rows in (slice(0, -1), slice(1, None)):
        for columns in (slice(0, -1), slice(1, None)):
            area = right_x[rows] * down_y[:, columns]
            area -= right_y[rows] * down_x[:, columns]
            np.minimum(least[rows, columns], area, out=least[rows, columns])
    return least


def without_folds(displacement: Map, step: float) -> Map:
    """The displacement (rows, columns, 2), smoothed where it would fold, and only there.

    Every round averages the neighbourhood of cells that fold or nearly do; what is already well-behaved is not
    touched, so that a gentle field passes through unchanged.
    """
    import cv2

    field = displacement
    for number in range(SMOOTHING_ROUNDS):
        bad = (determinant(jacobian(field, step)) < LEAST_DETERMINANT) | (corner_share(field, step) < LEAST_CORNER)
        if not bad.any():
            return field
        reach = 2 * (2 + number // 8) + 1
        near = cv2.GaussianBlur(cv2.dilate(bad.astype(np.float32), np.ones((reach, reach), np.uint8)), (5, 5), 0)
        calm = cv2.GaussianBlur(field, (reach, reach), 0, borderType=cv2.BORDER_REPLICATE)
        field = (field + near[..., None] * (calm - field)).astype(np.float32)
    return field


def invert(displacement: Map, lattice: Lattice) -> Map:
    """The inverse map on the nodes around the picture: for each node q the point p with p + displacement(p) = q.

    Newton's method from p = q - displacement(q); the field must not fold (see `without_folds`).
    Returns float32 (h, w, 2) in pixels, for the lattice's `shown` nodes.
    """
    target = lattice.nodes()[lattice.shown].astype(np.float32)
    derivative = jacobian(displacement, lattice.step)
    point = target - displacement[lattice.shown]
    furthest = np.float32(4.0 * lattice.step)
    left = np.inf
    for number in range(NEWTON_STEPS):
        miss = lattice.sample(displacement, point)
        miss += point
        miss -= target
        left, before = float(np.abs(miss).max()), left
        if left < CLOSE * lattice.step or (number > 2 and left > STUCK * before):
            break
        j = lattice.sample(derivative, point)
        det = np.maximum(determinant(j), np.float32(LEAST_DETERMINANT))
        way = np.empty_like(miss)
        way[..., 0] = (j[..., 3] * miss[..., 0] - j[..., 1] * miss[..., 1]) / det
        way[..., 1] = (j[..., 0] * miss[..., 1] - j[..., 2] * miss[..., 0]) / det
        np.minimum(np.maximum(way, -furthest, out=way), furthest, out=way)
        point = point - way
    return point
