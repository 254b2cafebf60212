"""The sampling map inside the face: triangle by triangle."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.motion.transfer import DriveFrame

Map = NDArray[np.float32]
Array = NDArray[np.float64]


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

    def only(self, these: NDArray[np.bool_]) -> "FacePixels":
        """Some of the pixels, in the same window."""
        return FacePixels(
            self.window, self.places[these], self.triangles[these], self.second[these], self.third[these]
        )


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
    ) -> FacePixels | None:
        """Lay the face over a sampling map, in place.

        Args:
            motion: target positions in pixels of the drawn frame.
            columns, rows: (H, W) x and y of the pixel shown by each pixel of the frame; overwritten where the face is.
            corner: what is added to the source's x and y.

        Returns:
            The pixels that the face covers, None where it is out of the frame.
        """
        pixels = face_pixels(motion.landmarks[self.triangles], (rows.shape[0], rows.shape[1]))
        if pixels is None:
            return None
        weight = pixels.interpolated(self._weights)
        for axis, plane in enumerate((columns, rows)):
            part = plane[pixels.window]
            flat = part.ravel()
            shown = pixels.interpolated(self.corners[..., axis] + np.float32(corner[axis]))
            under = np.take(flat, pixels.places)
            shown -= under
            shown *= weight
            shown += under
            flat[pixels.places] = shown
            part[:] = flat.reshape(part.shape)
        return pixels

    def draw_reduced(self, motion: DriveFrame, columns: Map, rows: Map, corner: tuple[float, float], step: int) -> None:
        """As `draw`, on every `step`-th pixel (an odd number) and enlarged: a ninth of the work with 3.

        Across edges between parts that lie apart in the source, `step` pixels are mixed: for frames so large that
        these are no more than one of a usual frame's.
        """
        import cv2

        planes = columns, rows
        small = [np.ascontiguousarray(plane[step // 2 :: step, step // 2 :: step]) for plane in planes]
        landmarks = motion.landmarks / step
        landmarks[:, :2] += 0.5 / step - 0.5
        face = self.draw(replace(motion, landmarks=landmarks), small[0], small[1], corner)
        if face is None:
            return
        # Two pixels around the face, of which the outer ones have no neighbours to be enlarged with, and stay.
        top, left = (max(0, side.start - 2) for side in face.window)
        bottom, right = (side.stop + 2 for side in face.window)
        for plane, values in zip(planes, small, strict=True):
            part = cv2.resize(values[top:bottom, left:right], None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
            inner = np.asarray(part, np.float32)[step:-step, step:-step]
            target = plane[(top + 1) * step :, (left + 1) * step :][: inner.shape[0], : inner.shape[1]]
            target[:] = inner[: target.shape[0], : target.shape[1]]


def face_pixels(corners: Array, shape: tuple[int, int]) -> FacePixels | None:
    """The pixels of a frame of that height and width that triangles (T, 3, 3) cover, nearest in front."""
    height, width = shape
    low = np.maximum(np.floor(corners[..., :2].min((0, 1))).astype(int), 0)
    high = np.minimum(np.ceil(corners[..., :2].max((0, 1))).astype(int) + 1, [width, height])
    if np.any(high - low < 2):
        return None
    window = slice(low[1], high[1]), slice(low[0], high[0])
    local = corners - [low[0], low[1], 0.0]
    numbers = rasterised(local, (high[1] - low[1], high[0] - low[0]))
    places = np.flatnonzero(numbers)
    triangles = numbers.reshape(-1)[places].astype(np.intp) - 1
    y, x = np.divmod(places.astype(np.int32), np.int32(high[0] - low[0]))
    x, y = x.astype(np.float32), y.astype(np.float32)
    # Rounding must not carry a sample out of a sliver of a triangle.
    second, third = (np.clip(_plane(rows, triangles, x, y), 0.0, 1.0) for rows in _barycentric_planes(local))
    over = np.maximum(second + third, np.float32(1.0))
    second /= over
    third /= over
    return FacePixels(window, places, triangles, second, third)


def rasterised(corners: Array, shape: tuple[int, int]) -> NDArray[np.int32]:
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
    which, row = _ranges(first, last)
    upper = (row < middle[which, 1])[:, None]
    one, other = which[:, None] * 3, np.where(upper, 0, 1)
    flat = points.reshape(-1, 2)
    start, end = flat[one + other][:, 0], flat[one + other + 1][:, 0]
    a = _crossing(top[which], bottom[which], row)
    b = _crossing(start, end, row)
    left, right = (np.clip(np.ceil(x), 0, width).astype(np.int32) for x in (np.minimum(a, b), np.maximum(a, b)))
    span, column = _ranges(left, right)
    numbers = np.zeros(height * width, np.int32)
    # From far to near: of several values for a place the last one stays.
    numbers[np.take(row * width, span) + column] = np.take((order[which] + 1).astype(np.int32), span)
    return numbers.reshape(shape)


def _ranges(first: NDArray[np.int32], last: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """For all numbers in first..last (N,), the last ones excluded: which range each is of, and the number itself."""
    counts = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(first)), counts)
    begins = first - (np.cumsum(counts) - counts)
    return which, (np.arange(len(which)) + np.repeat(begins, counts)).astype(np.int32)


def _crossing(upper: Array, lower: Array, row: NDArray[np.int32]) -> Array:
    """The x (N,) at which edges from their upper to their lower end (N, 2) cross rows (N,)."""
    height = np.maximum(lower[:, 1] - upper[:, 1], 1e-12)
    return np.asarray(upper[:, 0] + (row - upper[:, 1]) * (lower[:, 0] - upper[:, 0]) / height, np.float64)


def _plane(rows: NDArray[np.float32], triangles: NDArray[np.intp], x: Map, y: Map) -> Map:
    """Values a x + b y + c (N,) with the coefficients (3, T) of each point's triangle."""
    result: Map = x * np.take(rows[0], triangles)
    result += y * np.take(rows[1], triangles)
    result += np.take(rows[2], triangles)
    return result


def _area(corners: Array) -> Array:
    """Twice the area (T,) of triangles (T, 3, 2 or more) as seen; negative for those that face away."""
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0], np.float64)


def _barycentric_planes(corners: Array) -> NDArray[np.float32]:
    """Coefficients (2, 3, T) of the weights of the second and of the third corner: a x + b y + c."""
    x0, y0 = corners[:, 0, 0], corners[:, 0, 1]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = _area(corners)
    safe = np.where(np.abs(area) > 1e-6, area, 1.0)
    planes = []
    for a, b in ((edge2[:, 1] / safe, -edge2[:, 0] / safe), (-edge1[:, 1] / safe, edge1[:, 0] / safe)):
        planes.append([a, b, -a * x0 - b * y0])
    return np.asarray(planes, np.float32)
