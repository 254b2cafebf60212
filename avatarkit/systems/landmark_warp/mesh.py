"""The sampling map inside the face: triangle by triangle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.finer import Finer
from avatarkit.systems.landmark_warp.silhouette import Silhouette
from avatarkit.systems.landmark_warp.spans import Spans, planes_over

Map = NDArray[np.float32]
Array = NDArray[np.float64]


MOUTH = 2 * len(lm.INNER_LIP_UPPER) - 4
"""So many triangles, the last ones, close the mouth."""
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

    corners: (T, 3, 2) the source's pixels at the triangles' corners. alone: (T,) those that are not blended.
    """

    def __init__(self, landmarks: Array) -> None:
        self._finer = Finer.of(landmarks)
        self._silhouette = Silhouette.of(landmarks)
        self.corners = self.over(landmarks[:, :2]).astype(np.float32)
        weight = np.ones(lm.MESH, np.float32)
        weight[list(lm.FACE_OVAL)] = 0.0
        self._weights = self.over(weight)
        self.alone = self._weights.min(1) == 1.0

    def over(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (T, 3, ...) at the triangles' corners from those (468 or more, ...) of the landmarks."""
        return np.asarray(self._finer.middles(values)[self._finer.triangles])

    def placed(self, landmarks: Array) -> Array:
        """The triangles' corners (T, 3, 3) in a frame with these landmarks (468 or more, 3).

        What closes the mouth lies behind all else.
        """
        result = np.asarray(self._finer.bent(landmarks)[self._finer.triangles], np.float64)
        result[-MOUTH:, :, 2] += np.ptp(landmarks[:, 2])
        return result

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
        cover = Cover.of(self.placed(motion.landmarks), (rows.shape[0], rows.shape[1]))
        if cover is None:
            return None
        # x and y as one complex number: one sum and one look-up for both.
        window = np.empty(cover.shape, np.complex64)
        window.real, window.imag = columns[cover.window], rows[cover.window]
        flat = window.reshape(-1)
        source = self.corners[..., 0] + corner[0] + 1j * (self.corners[..., 1] + corner[1])
        shown = cover.values(source)
        blended = ~np.take(self.alone, cover.spans.triangles)
        rim = cover.spans.numbers(blended)
        weight = cover.values(self._weights.astype(np.float64), blended).clip(0.0, 1.0)
        under = np.take(flat, np.take(cover.places, rim))
        shown[rim] = under + weight * (np.take(shown, rim) - under)
        flat[cover.places] = shown
        columns[cover.window], rows[cover.window] = window.real, window.imag
        if self._silhouette is not None:
            self._silhouette.push(cover.ends(), columns, rows, corner, motion)
        return cover


@dataclass(frozen=True)
class Cover:
    """What a mesh covers of a frame.

    window: rows and columns of the frame. spans: of the triangles, in that window. corners: (T, 3, 3) of the triangles,
    in its pixels.
    """

    window: tuple[slice, slice]
    spans: Spans
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
        return Cover(window, Spans.of(local, (int(high[1] - low[1]), int(high[0] - low[0]))), local)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        rows, columns = self.window
        return rows.stop - rows.start, columns.stop - columns.start

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Flat indices (P,) in the window of the spans' pixels: of several alike the last one is seen."""
        return self.spans.places(self.shape[1])

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """Number + 1 (h, w) of the triangle that each pixel of the window shows, 0 where there is none."""
        result = np.zeros(self.shape, np.intp)
        result.reshape(-1)[self.places] = self.spans.spread(self.spans.triangles + 1)
        return result

    def values(self, values: NDArray[Any], these: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Values (P,) at `places` from values (T, 3) at the corners, real or complex; in these spans (S,) alone."""
        spans = self.spans if these is None else self.spans.some(these)
        # A span begins in double precision: slivers have planes so steep that rounding would carry samples out of them.
        first, rise = spans.at(planes_over(self.corners, values))
        kind = np.complex64 if np.iscomplexobj(values) else np.float32
        result = spans.spread(rise.astype(kind))
        result *= spans.steps.astype(np.float32)
        result += spans.spread(first.astype(kind))
        return result

    def ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Rows (N,) of the frame that the cover has pixels in, its first column in each, and the first one beyond."""
        spans, (height, width) = self.spans, self.shape
        left, right = np.full(height, width, np.intp), np.zeros(height, np.intp)
        np.minimum.at(left, spans.rows, spans.columns)
        np.maximum.at(right, spans.rows, spans.columns + spans.counts)
        some = np.flatnonzero(right > left)
        top, first = self.window[0].start, self.window[1].start
        return some + top, left[some] + first, right[some] + first

    def seams(self, columns: Map, rows: Map) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns (N,) of the frame's pixels where the cover ends and what is shown jumps.

        columns, rows: (H, W) the sampling map of the frame, the cover drawn into it.
        """
        import cv2

        inside = np.zeros(self.shape, np.uint8)
        inside.reshape(-1)[self.places] = 1
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

    def pixels(
        self, these: NDArray[np.bool_] | None = None, within: NDArray[np.bool_] | None = None
    ) -> FacePixels:
        """The pixels of all triangles, or of these (T,); of the window those alone that are within a mask (h, w)."""
        shown = self.numbers > 0 if these is None else np.take(np.concatenate([[False], these]), self.numbers)
        if within is not None:
            shown &= within
        places = np.flatnonzero(shown)
        triangles = np.take(self.numbers, places) - 1
        y, x = np.divmod(places, self.numbers.shape[1])
        weights = []
        for corner in (1, 2):
            item = np.zeros((len(self.corners), 3))
            item[:, corner] = 1.0
            across, down, begin = (np.take(plane, triangles) for plane in planes_over(self.corners, item))
            weights.append(np.clip(across * x + down * y + begin, 0.0, 1.0))
        over = np.maximum(weights[0] + weights[1], 1.0)
        second, third = (np.asarray(weight / over, np.float32) for weight in weights)
        if not len(places):
            return FacePixels(self.window, places, triangles, second, third)
        # Often they are few in one corner: no more of the window is of use than what is around them.
        (height, width), (top, left) = self.shape, (side.start for side in self.window)
        low = max(int(y[0]) - 1, 0), max(int(x.min()) - 1, 0)
        high = min(int(y[-1]) + 2, height), min(int(x.max()) + 2, width)
        window = slice(top + low[0], top + high[0]), slice(left + low[1], left + high[1])
        return FacePixels(window, (y - low[0]) * (high[1] - low[1]) + x - low[1], triangles, second, third)
