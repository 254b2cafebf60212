"""The plane of the teeth: sideways and down from where the lips meet at rest, fixed to the skull."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.similarity import Similarity
from avatarkit.systems.landmark_warp.openings import Region
from avatarkit.systems.landmark_warp.teeth import UPPER_ARCH

FARTHEST = 0.9
"""The row of teeth bends back up to this share of its arch's radius."""

VANISHES = 1.5
"""How fast what lies beyond the outline of an arch seen aslant goes off its row."""

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]


def lips_at_rest(landmarks: Array, pose: Similarity) -> Array:
    """Where (3,), in head coordinates, the lips of landmarks (478, 3) meet at rest."""
    upper, lower = pose.apply_inverse(landmarks[[13, 14]])
    # Of lips that are apart, the lower one has left the line where they would meet.
    middle = 0.5 * (upper + lower)
    return np.array([middle[0], min(middle[1], upper[1] + 0.02), middle[2]])


@dataclass(frozen=True)
class ToothPlane:
    """Places in head units to pixels and back.

    origin: (2,) pixels. matrix, inverse: (2, 2). behind: (2,) where in the plane a thing is seen that lies a head unit
    behind it.
    """

    origin: Array
    matrix: Array
    inverse: Array
    behind: Array

    @staticmethod
    def of(pose: Similarity, rest: Array) -> "ToothPlane":
        """The plane of a head; seen from far aside it is turned back a little, so that it stays a plane."""
        matrix = pose.rotation[:2, :2].copy()
        size = np.linalg.norm(matrix, axis=0)
        matrix *= np.maximum(size, 0.3) / np.maximum(size, 1e-6)
        if abs(float(np.linalg.det(matrix))) < 0.1:
            matrix = np.array([[matrix[0, 0], -matrix[1, 0]], [matrix[1, 0], matrix[0, 0]]]) + 0.1 * np.eye(2)
        matrix = pose.scale * matrix
        inverse = np.linalg.inv(matrix)
        return ToothPlane(pose.apply(rest)[:2], matrix, inverse, inverse @ (pose.scale * pose.rotation[:2, 2]))

    def place(self, points: Array) -> Array:
        """Sideways and down (..., 2) of pixels (..., 2)."""
        return np.asarray((points - self.origin) @ self.inverse.T, np.float64)

    def lips(self, landmarks: Array) -> tuple[Array, Array]:
        """The inner edges (N, 2) of the upper and of the lower lip of landmarks (478, 3) in pixels."""
        return self.place(landmarks[list(lm.INNER_LIP_UPPER), :2]), self.place(landmarks[list(lm.INNER_LIP_LOWER), :2])

    def places(self, region: Region) -> tuple[Pixels, Pixels]:
        """Sideways and down (h, w) of a region's pixels."""
        x, y = region.pixels()
        m, dx, dy = self.inverse.astype(np.float32), x - np.float32(self.origin[0]), y - np.float32(self.origin[1])
        return np.asarray(m[0, 0] * dx + m[0, 1] * dy), np.asarray(m[1, 0] * dx + m[1, 1] * dy)

    def on_arch(self, s: Pixels, d: Pixels, since: "ToothPlane | None" = None) -> tuple[Pixels, Pixels]:
        """Where the teeth seen at places (h, w) stand, which form an arch: the farther aside, the farther back.

        since: the plane of a picture that shows them, whose own shift is taken off; a frontal one where not given.
        """
        shift = self.behind - (0.0 if since is None else since.behind)
        across, radius = np.float32(shift[0]), np.float32(UPPER_ARCH)
        # A circle seen aslant: where a line of sight meets it first. Beyond its outline nothing stands.
        middle, slant = s - across * radius, np.float32(1.0) + across * across
        room = radius * radius * slant - middle * middle
        stands = (middle + across * np.sqrt(np.maximum(room, np.float32(0.0)))) / slant
        aside = np.minimum(np.abs(stands), np.float32(FARTHEST * UPPER_ARCH))
        back = radius - np.sqrt(radius * radius - aside * aside)
        stands = np.where(aside < np.abs(stands), s - across * back, stands)
        if across != 0.0 and np.any(room < 0.0):
            # Over a pixel or two it goes off the row's end: a hard edge would be jagged.
            beyond = np.where(s * across < 0.0, np.sqrt(np.maximum(-room, np.float32(0.0))), np.float32(0.0))
            stands += np.float32(VANISHES) * np.sign(s) * beyond
        return stands, d - np.float32(shift[1]) * back

    def pixels(self, s: NDArray[Any], d: NDArray[Any]) -> Pixels:
        """Pixels (h, w, 2) of places."""
        m = self.matrix
        x = self.origin[0] + m[0, 0] * s + m[0, 1] * d
        return np.asarray(np.stack([x, self.origin[1] + m[1, 0] * s + m[1, 1] * d], axis=2), np.float32)
