"""What is seen beside the averted cheek of a photo that shows a head from aside: never the cheek once more.

Around the face a smooth field says what is seen, and inside it the mesh. Where a cheek turns further away than in the
photo, the mesh ends before the field reaches the photo's outline, and the field would go on with a second piece of
cheek and its dark rim. Samples there are pushed out of the photo's face, as far as that row's first one lies inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.openings import fill, rise, rise_at

Array = NDArray[np.float64]
Map = NDArray[np.float32]
Ends = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]

# In head units (about 9 cm).
BEYOND = 0.05
"""Pushed samples lie from so far beyond the face to twice as far: past the rim of the cheek in the source."""
NOTHING, ALL = 0.01, 0.06
"""A row is left alone whose first sample lies no deeper in the face than the first, and all pushed from the second."""
STRIP = 0.3
"""Samples are looked at so far beside the face."""
AVERTED = (0.15, 0.35)
"""A photo shows a cheek as its outline where the sine of its yaw is more than this, certainly from the second on:
temples and ears of a head seen from the front go on beside the mesh, and stay."""
EYES = 127, 356
"""Landmarks beside the right and the left eye: above them lies the temple, which goes on beside the mesh too."""
BELOW_EYES = 0.12
"""Pushing sets in over this length below them."""
NOSE, CHIN = 2, 18
"""It ceases between these: the jaw is drawn by the field, which there goes on beside the mouth."""
UPRIGHT = 0.7, 0.9
"""Cosines of a roll of 45 and of 25 degrees: farther from upright nothing is pushed, nearer all."""
CALM_ROWS = 0.1
"""Over so many rows pushing sets in."""
_LONGEST = 160
"""Pixels along the longer side of the map of depths."""


@dataclass(frozen=True)
class Silhouette:
    """How deep places lie in the source's face, in its pixels.

    depths: (h, w, 3) depth, negative outside, and the way out of the face (2,), for every `step` pixels from `corner`.
    unit_px: a head unit. averted: how much the left and the right side in the picture are turned away in it.
    """

    depths: Map
    corner: Array
    step: float
    unit_px: float
    averted: tuple[float, float]

    @staticmethod
    def of(landmarks: Array) -> Silhouette | None:
        """That of a source's landmarks (468 or more, 3); None where it shows neither side as an outline."""
        import cv2

        pose = head_frame(landmarks)
        unit, yaw = pose.scale, pose.rotation[0, 2]
        upright = _upright(pose.rotation)
        averted = upright * rise_at(yaw, *AVERTED), upright * rise_at(-yaw, *AVERTED)
        if not any(averted):
            return None
        # Of a head that is turned in the picture its cheek hides a part of the oval.
        outline = landmarks[: lm.MESH, :2]
        pad = 3.0 * BEYOND * unit
        low, high = outline.min(0) - pad, outline.max(0) + pad
        step = max(float((high - low).max()) / _LONGEST, 1e-6)
        size = np.ceil((high - low) / step).astype(int) + 1
        inside = np.zeros((int(size[1]), int(size[0])), np.uint8)
        for triangle in np.concatenate([lm.surface_triangles(), lm.opening_triangles()]):
            inside |= fill((outline[triangle] - low) / step, inside.shape)
        within, beyond = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (inside, 1 - inside))
        depth = np.asarray(cv2.GaussianBlur((within - beyond) * np.float32(step), (0, 0), 1.5), np.float32)
        down, right = np.gradient(depth, step)
        steep = np.maximum(np.hypot(down, right), 1e-3)
        depths = np.dstack([depth, -right / steep, -down / steep]).astype(np.float32)
        return Silhouette(depths, low, step, unit, averted)

    def push(self, ends: Ends, columns: Map, rows: Map, corner: tuple[float, float], motion: DriveFrame) -> None:
        """Push samples beside a face out of the source's, in place.

        Args:
            ends: see `Cover.ends`. columns, rows: (H, W) the sampling map. corner: what is added to the source's x and
                y in it. motion: in pixels of the frame.
        """
        y, left, right = ends
        unit, upright = motion.pose.scale, _upright(motion.pose.rotation)
        for averted, eye, first, way in zip(self.averted, EYES, (left - 1, right), (-1, 1), strict=True):
            if averted * upright > 0.0:
                below, nose, chin = (y - motion.landmarks[place, 1] for place in (eye, NOSE, CHIN))
                share = averted * upright * rise(below / unit, 0.0, BELOW_EYES)
                share *= 1.0 - rise(nose / np.maximum(nose - chin, 1.0))
                self._push_side(share, (y, first), way, (columns, rows), corner, unit / self.unit_px)

    def _push_side(
        self,
        share: Map,
        start: tuple[NDArray[np.intp], NDArray[np.intp]],
        way: int,
        maps: tuple[Map, Map],
        corner: tuple[float, float],
        ratio: float,
    ) -> None:
        """Push the samples of rows on one side of the face.

        share: (N,) of rows. start: (N,) each, their y and the x of their first pixel beside the face. way: 1 to the
        right of it, -1 to the left. maps: columns and rows of `push`. ratio: pixels of the frame for one of the source.
        """
        import cv2

        (y, first), (columns, rows) = start, maps
        width, offset = columns.shape[1], np.array(corner, np.float32)
        # Rows whose face reaches the border have nothing beside it.
        within = (first >= 0) & (first < width)
        edge = np.clip(first, 0, width - 1)
        depth = self._at(np.stack([columns[y, edge], rows[y, edge]], axis=1)[:, None] - offset)[:, 0, 0]
        share = share * rise(depth / np.float32(self.unit_px), NOTHING, ALL)
        share[~within] = 0.0
        if not share.any():
            return
        calm = max(2 * round(CALM_ROWS * self.unit_px * ratio) + 1, 1)
        share = np.asarray(cv2.blur(share[:, None], (1, calm)), np.float32)
        some = np.flatnonzero((share[:, 0] > 0.0) & within)
        x = first[some, None] + way * np.arange(max(round(STRIP * self.unit_px * ratio), 1))
        there = y[some, None], np.clip(x, 0, width - 1)
        before = np.stack([columns[there], rows[there]], axis=2)
        found = self._at(before - offset)
        beyond = np.float32(BEYOND * self.unit_px)
        # From twice that distance on nothing changes; what lies deeper crowds towards once the distance.
        over = np.maximum(found[..., 0] + 2.0 * beyond, 0.0)
        pushed = share[some] * (over - beyond * (1.0 - np.exp(-over / beyond)))
        columns[there] = before[..., 0] + pushed * found[..., 1]
        rows[there] = before[..., 1] + pushed * found[..., 2]

    def _at(self, places: Map) -> Map:
        """Depth and way out (h, w, 3) at places (h, w, 2) of the source."""
        return sample(self.depths, (places - self.corner.astype(np.float32)) * np.float32(1.0 / self.step))


def _upright(rotation: Array) -> float:
    """1 of a head that stands up in its picture, 0 of one that leans by 45 degrees: its sides are not beside it."""
    across = rotation[:2, 0]
    return rise_at(across[0] / max(float(np.hypot(*across)), 1e-6), *UPRIGHT)
