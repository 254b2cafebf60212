"""Where the refinement looks: patches of face, mouth and eyes, level with the head and as large as it.

A patch is an affine map from its own coordinates, -1 to 1 from edge to edge, to pixels. Sizes are in head units (about
9 cm), so that a patch shows the same part of any head. The left eye's patch is mirrored: both eyes look alike in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import eye_axes

__all__ = ["EYE", "FACE", "MOUTH", "NAMES", "Patch", "patches"]

Picture = NDArray[np.uint8]
Array = NDArray[np.float64]

NAMES = ("face", "mouth", "right_eye", "left_eye")
FACE = (2.5, 2.5)
MOUTH = (1.1, 1.1)
EYE = (0.72, 0.48)
"""Width and height in head units."""
_HALVED = 4.0
"""Pictures that are reduced by at least this are halved first."""
_MOUTH_POINTS = (61, 291, 0, 17)


@dataclass(frozen=True)
class Patch:
    """A part of a picture. matrix: (2, 3), patch coordinates to pixels (pixel centres at integers)."""

    matrix: Array

    @staticmethod
    def of(centre: Array, size_px: tuple[float, float], angle: float, *, mirrored: bool = False) -> Patch:
        """The patch around a point (2,), turned by an angle in radians."""
        across = np.array([np.cos(angle), np.sin(angle)])
        down = np.array([-across[1], across[0]])
        columns = (across * (-0.5 if mirrored else 0.5) * size_px[0], down * 0.5 * size_px[1], centre)
        return Patch(np.stack(columns, axis=1))

    @property
    def width_px(self) -> float:
        """How many pixels of the picture its width covers."""
        return 2.0 * float(np.linalg.norm(self.matrix[:, 0]))

    @property
    def square(self) -> Array:
        """The matrix (3, 3), for joining and inverting."""
        return np.vstack([self.matrix, [0.0, 0.0, 1.0]])

    @property
    def corners(self) -> Array:
        """Its corners (4, 2) in pixels."""
        return np.asarray((self.matrix @ np.array([[-1, 1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, 1]], np.float64)).T)

    def local(self, points: Array) -> Array:
        """Patch coordinates (N, 2) of points (N, 2) in pixels."""
        linear = np.linalg.inv(self.matrix[:, :2])
        return np.asarray((points - self.matrix[:, 2]) @ linear.T, np.float64)

    def grid(self, size: tuple[int, int]) -> Array:
        """The matrix (2, 3) from pixels of a patch of a size (width, height) to pixels of the picture."""
        width, height = size
        own = np.array([[2.0 / width, 0.0, 1.0 / width - 1.0], [0.0, 2.0 / height, 1.0 / height - 1.0], [0, 0, 1]])
        return np.asarray(self.matrix @ own, np.float64)

    def cut(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The patch (h, w, C) of a picture at a size (width, height); edges of the picture are continued."""
        import cv2

        matrix = self.grid(size)
        step = float(np.linalg.norm(matrix[:, 0]))
        if step > 1.5:
            # Each pixel must see all that it stands for: reduced by area first, what is left is interpolated.
            picture, matrix = _reduced(picture, matrix, size, step)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cut, np.uint8)

    def bounds(self, width: int, height: int) -> tuple[slice, slice] | None:
        """Rows and columns of a picture around the patch; None where it lies outside."""
        low, high = np.floor(self.corners.min(0)), np.ceil(self.corners.max(0)) + 1
        left, top = (int(v) for v in np.maximum(low, 0))
        right, bottom = int(min(high[0], width)), int(min(high[1], height))
        return (slice(top, bottom), slice(left, right)) if right - left > 1 and bottom - top > 1 else None


def _reduced(picture: Picture, matrix: Array, size: tuple[int, int], step: float) -> tuple[Picture, Array]:
    """The part of a picture that a grid needs, reduced by area to its steps, and the grid there."""
    import cv2

    width, height = size
    corners = matrix @ np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
    low = np.maximum(np.floor(corners.min(1) - 2 * step), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(1) + 2 * step) + 1, picture.shape[1::-1]).astype(int)
    low = np.minimum(low, np.array(picture.shape[1::-1]) - 1)
    high = np.maximum(high, low + 1)
    part = picture[low[1] : high[1], low[0] : high[0]]
    if step >= _HALVED and min(part.shape[:2]) > 1:
        # Halving is ten times as fast as any other reduction by area.
        part = part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2]
        half = np.asarray(cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        half = part
    shown = tuple(max(1, round(side / step)) for side in (part.shape[1], part.shape[0]))
    small = np.asarray(cv2.resize(half, shown, interpolation=cv2.INTER_AREA), np.uint8)
    ratio = np.array(shown) / (part.shape[1], part.shape[0])
    moved = matrix.copy()
    moved[:, 2] -= low
    moved *= ratio[:, None]
    moved[:, 2] += 0.5 * ratio - 0.5
    return small, moved


def patches(landmarks: Array, pose: Similarity) -> tuple[Patch, ...]:
    """The patches `NAMES` of a head.

    Args:
        landmarks: (478, 3) in pixels. pose: head coordinates to pixels.
    """
    unit = pose.scale
    angle = float(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0]))
    eyes = [np.asarray(eye_axes(landmarks, eye)[0][:2], np.float64) for eye in range(2)]

    def sized(size: tuple[float, float]) -> tuple[float, float]:
        return size[0] * unit, size[1] * unit

    return (
        Patch.of(landmarks[: lm.MESH, :2].mean(0), sized(FACE), angle),
        Patch.of(landmarks[list(_MOUTH_POINTS), :2].mean(0), sized(MOUTH), angle),
        Patch.of(eyes[0], sized(EYE), angle),
        Patch.of(eyes[1], sized(EYE), angle, mirrored=True),
    )
