"""The sampling map inside the face: triangle by triangle."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.motion.transfer import DriveFrame

Map = NDArray[np.float32]
_SUBPIXEL_BITS = 4


class FaceMesh:
    """Rasterises the source's mesh in a target pose.

    Each triangle carries the source's pixel coordinates, and a weight that rises from 0 on the face's oval to 1 on
    the next ring, so that the interior joins the field around it without a seam.
    """

    def __init__(self, landmarks: NDArray[np.float64]) -> None:
        self._triangles = np.concatenate([lm.surface_triangles(), lm.opening_triangles()])
        weight = np.ones(lm.MESH)
        weight[list(lm.FACE_OVAL)] = 0.0
        # Per vertex: source x, source y, weight.
        self._attributes = np.column_stack([landmarks[: lm.MESH, :2], weight])

    def draw(self, motion: DriveFrame, base: Map, scale: tuple[float, float]) -> None:
        """Lay the face over a sampling map, in place.

        Args:
            motion: target positions in pixels of the drawn frame.
            base: (h, w, 2) source pixels shown by each map pixel; overwritten where the face is.
            scale: map pixels per frame pixel, in x and y.
        """
        height, width = base.shape[:2]
        points = motion.landmarks[: lm.MESH].copy()
        points[:, 0] = (points[:, 0] + 0.5) * scale[0] - 0.5
        points[:, 1] = (points[:, 1] + 0.5) * scale[1] - 0.5
        low = np.maximum(np.floor(points[:, :2].min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(points[:, :2].max(0)).astype(int) + 2, [width, height])
        if np.any(high - low < 2):
            return
        points[:, :2] -= low
        corners = points[self._triangles]
        edge1, edge2 = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
        area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
        numbers = _rasterise(corners, area, (high[1] - low[1], high[0] - low[0]))
        planes = _planes(self._attributes[self._triangles], corners[:, 0, :2], edge1, edge2, area)
        rows, columns = np.nonzero(numbers)
        which = numbers[rows, columns] - 1
        x, y = columns.astype(np.float32), rows.astype(np.float32)
        values = [planes[which, k, 0] * x + planes[which, k, 1] * y + planes[which, k, 2] for k in range(3)]
        part = base[low[1] : high[1], low[0] : high[0]]
        under = part[rows, columns]
        weight = np.clip(values[2], 0.0, 1.0)[:, None]
        part[rows, columns] = under + weight * (np.stack(values[:2], axis=1) - under)


def _rasterise(
    corners: NDArray[np.float64], area: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Number + 1 of the nearest front-facing triangle at each pixel, 0 where there is none."""
    import cv2

    numbers = np.zeros(shape, np.int32)
    fixed = np.round(corners[:, :, :2] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    far_to_near = np.argsort(-corners[:, :, 2].mean(1))
    for k in far_to_near[area[far_to_near] > 1e-6].tolist():
        cv2.fillConvexPoly(numbers, fixed[k], k + 1, cv2.LINE_8, _SUBPIXEL_BITS)
    return numbers


def _planes(
    attributes: NDArray[np.float64],
    origin: NDArray[np.float64],
    edge1: NDArray[np.float64],
    edge2: NDArray[np.float64],
    area: NDArray[np.float64],
) -> Map:
    """Coefficients (T, 3 attributes, 3) of value = a x + b y + c over each triangle."""
    safe = np.where(np.abs(area) > 1e-6, area, 1.0)[:, None]
    rise1, rise2 = attributes[:, 1] - attributes[:, 0], attributes[:, 2] - attributes[:, 0]
    a = (rise1 * edge2[:, 1:] - rise2 * edge1[:, 1:]) / safe
    b = (rise2 * edge1[:, :1] - rise1 * edge2[:, :1]) / safe
    c = attributes[:, 0] - a * origin[:, :1] - b * origin[:, 1:]
    return np.asarray(np.stack([a, b, c], axis=2), np.float32)
