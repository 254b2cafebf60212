"""Coarse displacement grids: folding is taken out of them, then they are inverted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample

Array = NDArray[np.float64]
Map = NDArray[np.float32]

LEAST_DETERMINANT = 0.15
"""A cell keeps at least this share of its area; below it the field is smoothed until it does."""
LEAST_CORNER = 0.03
"""The same of each corner of a cell, which central differences do not see: a single cell may fold between nodes."""
SMOOTHING_ROUNDS = 40
NEWTON_STEPS = 7


@dataclass(frozen=True)
class Lattice:
    """Regular nodes over a picture and a margin around it.

    x0, y0: position in pixels of the first node. step: distance of nodes in pixels. columns, rows: number of nodes.
    """

    x0: float
    y0: float
    step: float
    columns: int
    rows: int

    @staticmethod
    def over(width: int, height: int, cells: int = 84, margin: float = 0.1) -> "Lattice":
        """A lattice with about `cells` cells along the longer side and a margin of that share of it."""
        longer = max(width, height)
        step = longer * (1.0 + 2.0 * margin) / cells
        pad = longer * margin
        columns, rows = int(np.ceil((width + 2 * pad) / step)) + 1, int(np.ceil((height + 2 * pad) / step)) + 1
        return Lattice(-pad, -pad, step, columns, rows)

    def nodes(self) -> Array:
        """Positions (rows, columns, 2) in pixels."""
        x = self.x0 + self.step * np.arange(self.columns)
        y = self.y0 + self.step * np.arange(self.rows)
        return np.stack(np.meshgrid(x, y), axis=2)

    def sample(self, values: Map, points: Map) -> Map:
        """Values (rows, columns, C <= 4) at points (h, w, 2) in pixels, bilinear, clamped at the rim."""
        index = (points - np.array([self.x0, self.y0], np.float32)) * np.float32(1.0 / self.step)
        return sample(values, index)


def jacobian(displacement: Map, step: float) -> Map:
    """Derivative (rows, columns, 4) of node + displacement: dx/dx, dx/dy, dy/dx, dy/dy."""
    dy, dx = np.gradient(displacement, step, axis=(0, 1))
    return np.asarray(np.stack([1.0 + dx[..., 0], dy[..., 0], dx[..., 1], 1.0 + dy[..., 1]], axis=2), np.float32)


def determinant(derivative: Map) -> Map:
    """Determinant (rows, columns) of a jacobian."""
    return np.asarray(derivative[..., 0] * derivative[..., 3] - derivative[..., 1] * derivative[..., 2], np.float32)


def corner_share(displacement: Map, step: float) -> Map:
    """For each node (rows, columns) the least area of the cells' corners around it, in shares of an undisturbed one."""
    across = np.diff(displacement, axis=1) / step + np.array([1.0, 0.0], np.float32)
    along = np.diff(displacement, axis=0) / step + np.array([0.0, 1.0], np.float32)
    least = np.full(displacement.shape[:2], np.inf, np.float32)
    for rows in (slice(0, -1), slice(1, None)):
        for columns in (slice(0, -1), slice(1, None)):
            x, y = across[rows], along[:, columns]
            area = x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]
            least[rows, columns] = np.minimum(least[rows, columns], area)
    return least


def unfolded(displacement: Map, step: float) -> Map:
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
    """The inverse map on the same lattice: for each node q the point p with p + displacement(p) = q.

    Newton's method from p = q - displacement(q); the field must not fold (see `unfolded`).
    Returns float32 (rows, columns, 2) in pixels.
    """
    target = lattice.nodes().astype(np.float32)
    derivative = jacobian(displacement, lattice.step)
    point = target - displacement
    furthest = np.float32(4.0 * lattice.step)
    for _ in range(NEWTON_STEPS):
        miss = point + lattice.sample(displacement, point) - target
        j = lattice.sample(derivative, point)
        det = np.maximum(determinant(j), np.float32(LEAST_DETERMINANT))
        step_x = (j[..., 3] * miss[..., 0] - j[..., 1] * miss[..., 1]) / det
        step_y = (j[..., 0] * miss[..., 1] - j[..., 2] * miss[..., 0]) / det
        point = point - np.clip(np.stack([step_x, step_y], axis=2), -furthest, furthest)
    return point
