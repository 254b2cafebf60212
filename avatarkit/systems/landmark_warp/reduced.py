"""The sampling map of a large frame: made at a third of the size, and enlarged band by band where it is used."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.grid import Lattice
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.landmark_warp.openings import Region

Map = NDArray[np.float32]

STEP = 3
"""Pixels of the frame along a pixel of the map, an odd number: a ninth of the work. Across edges between parts that lie
apart in the source so many are mixed: in frames so large that these are no more than one of a usual frame's."""


@dataclass(frozen=True)
class ReducedMap:
    """X and y (h, w) of what every `STEP`-th pixel of a part of a frame shows, with one more around them."""

    planes: tuple[Map, Map]
    part: Region

    @staticmethod
    def of(
        part: Region, lattice: Lattice, inverse: Map, mesh: FaceMesh, motion: DriveFrame, corner: tuple[float, float]
    ) -> ReducedMap:
        """The map of a part of the frame: the lattice's inverse (see `grid.invert`), and the face over it.

        corner: what is added to the source's x and y.
        """
        first = np.array([part.left, part.top]) - (STEP + 1) // 2
        sides = ((part.right, part.left), (part.bottom, part.top))
        x, y = (start + STEP * np.arange(-(-(end - begin) // STEP) + 2)
                for start, (end, begin) in zip(first, sides, strict=True))  # fmt: skip
        across, down = (lattice.at(inverse[..., axis] + np.float32(corner[axis]), x, y) for axis in range(2))
        landmarks = (motion.landmarks - [*first, 0.0]) / STEP
        pose = replace(motion.pose, scale=motion.pose.scale / STEP)
        mesh.draw(replace(motion, landmarks=landmarks, pose=pose), across, down, corner)
        return ReducedMap((across, down), part)

    def enlarged(self, band: Region) -> tuple[Map, Map]:
        """X and y (h, w) for each pixel of a rectangle inside the part."""
        import cv2

        left, top = band.left - self.part.left, band.top - self.part.top
        columns = slice(left // STEP, -(-(band.right - self.part.left) // STEP) + 2)
        rows = slice(top // STEP, -(-(band.bottom - self.part.top) // STEP) + 2)
        across, down = STEP + left % STEP, STEP + top % STEP
        within = np.s_[down : down + band.bottom - band.top, across : across + band.right - band.left]
        large = (cv2.resize(plane[rows, columns], None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
                 for plane in self.planes)  # fmt: skip
        x, y = (np.asarray(plane, np.float32)[within] for plane in large)
        return x, y
