"""What one half of a face lends to the other: to each landmark that the photo does not show, its twin's surroundings.

A landmark is shown by a surface that faces the viewer, well inside of the matte, with nothing before it: of a head
seen from aside the nose hides the farther eye's inner corner, and the farther cheek its own rim. Light behind a head,
hair and the landmarks' own errors spoil what is close to such an edge, on either side of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIRROR
from avatarkit.geometry.sampling import sample
from avatarkit.geometry.similarity import Similarity
from avatarkit.systems.landmark_warp.mesh import Cover
from avatarkit.systems.landmark_warp.openings import rise

Array = NDArray[np.float64]

SEEN = (0.25, 0.6)
"""A surface is seen from the first of these cosines of its angle to the viewer on, and well from the second."""
TWIN_SEEN = (0.1, 0.3)
"""The same for a twin that lends colours for what the photo does not show at all."""
BETTER = (0.08, 0.3)
"""The twin lends colours from the first difference of their cosines on, and alone from the second."""
RIM = 0.04
"""No colours are taken from this close to an edge, in head units."""
JUMP = (0.1, 0.2)
"""Depths that differ by the first, so close by, are an edge a little, by the second all the way, in head units: a nose
stands out by 0.5."""
BELOW_BROWS = (-0.05, 0.05)
"""Edges of the face count from the first height below the brows on, in head units, and wholly from the second."""
FEWEST = 12
"""A half is hidden where that many landmarks borrow more than half of their colours; fewer are noise of their depth."""
_BROWS = [point for brow in lm.BROWS for point in brow]
_UNIT_PX = 64
"""Depths are looked at with so many pixels to a head unit."""


@dataclass(frozen=True)
class Lending:
    """What each landmark's surroundings borrow.

    lent: (468,) share of them that is the twin's. twins: (468,) who that is: of a half that borrows nothing each
    landmark itself. spoiled: (468,) how near it is to an edge in the photo. normals: (468, 3), in the photo.
    """

    lent: Array
    twins: NDArray[np.intp]
    spoiled: Array
    normals: Array

    @staticmethod
    def of(alpha: NDArray[np.float32], face: Array, pose: Similarity) -> Lending | None:
        """That of landmarks (468, 3) of a head in a photo with a matte (h, w); None where it shows both halves."""
        normals, twins = mesh_normals(face, lm.surface_triangles()), MIRROR[: lm.MESH].astype(np.intp)
        height = pose.apply_inverse(face)[:, 1]
        # Above the brows no face ends where its landmarks do: forehead and hair go on.
        spoiled = _spoiled(face, pose.scale) * rise(height - height[_BROWS].mean(), *BELOW_BROWS)
        facing, seen = normals[:, 2], _inside(alpha, face, pose.scale) * (1.0 - spoiled)
        own = rise(facing, *SEEN) * seen
        # A twin that is averted itself has nothing to lend: its landmarks lie on the nose, an eye or hair.
        saved = rise(facing[twins], *TWIN_SEEN) * (seen[twins] - seen)
        lent = np.asarray((1.0 - own) * np.maximum(rise(facing[twins] - facing, *BETTER), saved), np.float64)
        if np.count_nonzero(lent > 0.5) < FEWEST:
            return None
        own_number = np.arange(lm.MESH)
        right, left = np.flatnonzero(own_number < twins), np.flatnonzero(own_number > twins)
        other = left if lent[right].sum() > lent[left].sum() else right
        if np.count_nonzero(lent[other] > 0.5) < FEWEST:
            middle = np.flatnonzero((own_number == twins) & (height < height[list(lm.OUTER_LIP_LOWER)].max()))
            lent[other], twins[other] = 0.0, other
            # The line between the halves is no edge of what is lent: beyond it lies what the twins show.
            lent[middle] = spoiled[middle] * _most_beside(lent, middle)
        return Lending(lent, twins, spoiled, normals)


def _most_beside(values: Array, points: NDArray[np.intp]) -> Array:
    """The greatest of the values (468,) at the neighbours of each of some landmarks (N,)."""
    triangles = lm.surface_triangles()
    return np.array([values[triangles[(triangles == point).any(1)]].max() for point in points])


def _inside(alpha: NDArray[np.float32], face: Array, unit_px: float) -> Array:
    """How far each landmark (468, 3) is inside of a matte (h, w)."""
    import cv2

    rim = max(1, round(RIM * unit_px))
    inner = np.asarray(cv2.erode(alpha, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)), np.float32)
    return np.asarray(sample(inner, face[None, :, :2].astype(np.float32))[0], np.float64)


def _spoiled(face: Array, unit_px: float) -> Array:
    """1 of landmarks (468, 3) behind something, or beside the edge of what is before it; 0 of those in the open."""
    import cv2

    small = (face - face.min(0)) * (_UNIT_PX / unit_px) + 2.0
    width, height = (int(side) + 3 for side in np.ceil(small[:, :2].max(0)))
    cover = Cover.of(small[np.concatenate([lm.surface_triangles(), lm.opening_triangles()])], (height, width))
    if cover is None:
        return np.zeros(len(face))
    depth = np.full((height, width), small[:, 2].max() + _UNIT_PX * JUMP[1], np.float32)
    window = depth[cover.window].copy()
    window.reshape(-1)[cover.places] = cover.values(cover.corners[..., 2])
    depth[cover.window] = window
    rim = max(1, round(RIM * _UNIT_PX))
    around = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    depths = np.dstack([cv2.erode(depth, around), cv2.dilate(depth, around)]).astype(np.float32)
    apart = np.abs(sample(depths, small[None, :, :2].astype(np.float32))[0] - small[:, 2:]).max(1)
    return np.asarray(rise(apart / _UNIT_PX, *JUMP), np.float64)


def mesh_normals(points: Array, triangles: NDArray[Any]) -> Array:
    """Unit normals (N, 3) of the surface of triangles (T, 3) of points (N, 3); z is 1 where it faces the viewer."""
    corners = points[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    result = np.zeros_like(points)
    for corner in range(3):
        np.add.at(result, triangles[:, corner], across)
    return np.asarray(result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-9), np.float64)
