"""The sampling map inside the face: triangle by triangle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.motion.transfer import DriveFrame

Map = NDArray[np.float32]
Array = NDArray[np.float64]


TORN_PX = 5.0
"""Where what is shown jumps by more than this between pixels two apart, an edge hides what lies behind it."""


@dataclass(frozen=True)
class FacePixels:
    """The pixels of a frame that the face covers.

    window: rows and columns of the frame that they lie in. places: (N,) flat indices into that window.
    triangles: (N,) the triangle that each shows. second, third: (N,) barycentric weights of its second and third
    corner, within the triangle even where its pixels reach a little beyond it.
    """

    window: tuple[slice, slice]
    places: NDArray[np.intp]
    triangles: NDArray[np.intp]
    second: NDArray[np.float32]
    third: NDArray[np.float32]

    def interpolated(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (N,) at the pixels, from values (T, 3) at the triangles' corners."""
        first = corners[:, 0]
        result: Map = self.second * np.take(corners[:, 1] - first, self.triangles)
        result += self.third * np.take(corners[:, 2] - first, self.triangles)
        result += np.take(first, self.triangles)
        return result

    def image(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The window (h, w) with values (N,) at the pixels and 0 elsewhere."""
        rows, columns = self.window
        result = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        result.reshape(-1)[self.places] = values
        return result


class FaceMesh:
    """Rasterises the source's mesh in a target pose.

    Each triangle carries the source's pixel coordinates, and a weight that rises from 0 on the face's oval to 1 on
    the next ring, so that the interior joins the field around it without a seam.

    triangles: (T, 3) landmarks. corners: (T, 3, 2) the source's pixels there. alone: (T,) those that are not blended.
    """

    def __init__(self, landmarks: Array) -> None:
        self.triangles = np.concatenate([lm.surface_triangles(), lm.opening_triangles()])
        self.corners = landmarks[self.triangles, :2].astype(np.float32)
        weight = np.ones(lm.MESH, np.float32)
        weight[list(lm.FACE_OVAL)] = 0.0
        self._weights = weight[self.triangles]
        self.alone = self._weights.min(1) == 1.0

    def draw(
        self, motion: DriveFrame, columns: Map, rows: Map, corner: tuple[float, float] = (0.0, 0.0)
    ) -> Cover | None:
        """Lay the face over a sampling map, in place.

        Args:
            motion: target positions in pixels of the drawn frame.
            columns, rows: (H, W) x and y of the pixel shown by each pixel of the frame; overwritten where the face is.
            corner: what is added to the source's x and y.

        Returns:
            What the face covers, None where it is out of the frame.
        """
        cover = Cover.of(motion.landmarks[self.triangles], (rows.shape[0], rows.shape[1]))
        if cover is None:
            return None
        inside, rim = cover.numbers > 0, cover.pixels(~self.alone)
        weight = rim.interpolated(self._weights)
        for axis, plane in enumerate((columns, rows)):
            part = plane[cover.window]
            under = np.take(part.ravel(), rim.places)
            shown = cover.filled(self.corners[..., axis] + corner[axis])
            flat = shown.reshape(-1)
            flat[rim.places] = under + weight * (np.take(flat, rim.places) - under)
            np.copyto(part, shown, where=inside)
        return cover


@dataclass(frozen=True)
class Cover:
    """What a mesh covers of a frame.

    window: rows and columns of the frame. numbers: (h, w) in that window, number + 1 of the triangle, 0 where there is
    none. corners: (T, 3, 3) of the triangles, in pixels of the window.
    """

    window: tuple[slice, slice]
    numbers: NDArray[np.intp]
    corners: Array

    @staticmethod
    def of(corners: Array, shape: tuple[int, int]) -> Cover | None:
        """The cover by triangles (T, 3, 3) of a frame of that height and width; None where they are out of it."""
        height, width = shape
        low = np.maximum(np.floor(corners[..., :2].min((0, 1))).astype(int), 0)
        high = np.minimum(np.ceil(corners[..., :2].max((0, 1))).astype(int) + 1, [width, height])
        if np.any(high - low < 2):
            return None
        window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
        local = corners - [low[0], low[1], 0.0]
        return Cover(window, rasterised(local, (int(high[1] - low[1]), int(high[0] - low[0]))), local)

    def filled(self, values: NDArray[np.floating[Any]]) -> Map:
        """Values (h, w) in the window, from values (T, 3) at the corners; 0 where no triangle is."""
        planes = np.zeros((3, len(values) + 1))
        # In double precision: slivers have planes so steep that rounding would carry samples out of them.
        planes[:, 1:] = _planes(self.corners, values)
        rows, columns = self.numbers.shape
        result = np.take(planes[0], self.numbers)
        result *= np.arange(columns)
        down = np.take(planes[1], self.numbers)
        down *= np.arange(rows)[:, None]
        result += down
        result += np.take(planes[2], self.numbers)
        return np.asarray(result, np.float32)

    def seams(self, columns: Map, rows: Map) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns (N,) of the frame's pixels where the cover ends and what is shown jumps.

        columns, rows: (H, W) the sampling map of the frame, the cover drawn into it.
        """
        import cv2

        inside = (self.numbers > 0).view(np.uint8)
        ring = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        ring[[0, -1]] = ring[:, [0, -1]] = 0
        y, x = np.divmod(np.flatnonzero(ring.view(np.bool_)), ring.shape[1])
        y, x = y + self.window[0].start, x + self.window[1].start
        jump = np.zeros(len(y), np.float32)
        for plane in (columns, rows):
            for down, right in ((1, 0), (0, 1)):
                jump = np.maximum(jump, np.abs(plane[y + down, x + right] - plane[y - down, x - right]))
        torn = jump > TORN_PX
        return y[torn], x[torn]

    def pixels(self, these: NDArray[np.bool_] | None = None) -> FacePixels:
        """The pixels of all triangles, or of these (T,)."""
        shown = self.numbers if these is None else np.concatenate([[False], these])[self.numbers]
        places = np.flatnonzero(shown)
        triangles = self.numbers.reshape(-1)[places] - 1
        y, x = np.divmod(places, self.numbers.shape[1])
        weights = []
        for corner in (1, 2):
            item = np.zeros((len(self.corners), 3))
            item[:, corner] = 1.0
            plane = _planes(self.corners, item)
            weights.append(np.clip(plane[0][triangles] * x + plane[1][triangles] * y + plane[2][triangles], 0.0, 1.0))
        over = np.maximum(weights[0] + weights[1], 1.0)
        second, third = (np.asarray(weight / over, np.float32) for weight in weights)
        return FacePixels(self.window, places, triangles, second, third)


def rasterised(corners: Array, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Number + 1 of the nearest front-facing triangle that each pixel's centre lies in, 0 where there is none.

    Triangles (T, 3, 3) that share an edge leave no gap between them and do not overlap: both compute the edge's
    crossings with the rows from the same end, and a span holds its first centre but not its last.
    """
    height, width = shape
    order = np.argsort(-corners[:, :, 2].mean(1))
    order = order[_area(corners[order]) > 1e-6]
    points = corners[order, :, :2]
    points = np.take_along_axis(points, np.argsort(points[..., 1], axis=1)[..., None], axis=1)
    top, middle, bottom = points[:, 0], points[:, 1], points[:, 2]
    first, last = (np.clip(np.ceil(p[:, 1]), 0, height).astype(np.int32) for p in (top, bottom))
    which, row = _rows(first, last)
    lower = row >= middle[which, 1]
    flat, item = points.reshape(-1, 2), 3 * which + lower
    a = _crossing(top[which], bottom[which], row)
    b = _crossing(flat[item], flat[item + 1], row)
    left, right = (np.clip(np.ceil(x), 0, width).astype(np.int32) for x in (np.minimum(a, b), np.maximum(a, b)))
    counts = np.maximum(right - left, 0)
    # Indices of numpy's own kind: others are converted at every use, which takes longer than the use.
    begins = row.astype(np.intp) * width + left - (np.cumsum(counts) - counts)
    places = np.repeat(begins, counts)
    places += np.arange(len(places))
    numbers = np.zeros(height * width, np.intp)
    # From far to near: of several values for a place the last one stays.
    numbers[places] = np.repeat(order[which] + 1, counts)
    return numbers.reshape(shape)


def _rows(first: NDArray[np.int32], last: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """For all rows in first..last (N,), the last ones excluded: which range each is of, and the row itself."""
    counts = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(first)), counts)
    begins = first - (np.cumsum(counts, dtype=np.int32) - counts)
    return which, np.arange(len(which), dtype=np.int32) + np.repeat(begins, counts)


def _crossing(upper: Array, lower: Array, row: NDArray[np.int32]) -> Array:
    """The x (N,) at which edges from their upper to their lower end (N, 2) cross rows (N,)."""
    height = np.maximum(lower[:, 1] - upper[:, 1], 1e-12)
    return np.asarray(upper[:, 0] + (row - upper[:, 1]) * (lower[:, 0] - upper[:, 0]) / height, np.float64)


def _area(corners: Array) -> Array:
    """Twice the area (T,) of triangles (T, 3, 2 or more) as seen; negative for those that face away."""
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0], np.float64)


def _planes(corners: Array, values: NDArray[np.floating[Any]]) -> Array:
    """Coefficients (3, T) of a x + b y + c over each triangle (T, 3, 3), from values (T, 3) at its corners."""
    x0, y0 = corners[:, 0, 0], corners[:, 0, 1]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    rise1, rise2 = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    area = _area(corners)
    safe = np.where(np.abs(area) > 1e-6, area, 1.0)
    a = (rise1 * edge2[:, 1] - rise2 * edge1[:, 1]) / safe
    b = (rise2 * edge1[:, 0] - rise1 * edge2[:, 0]) / safe
    return np.stack([a, b, values[:, 0] - a * x0 - b * y0])
