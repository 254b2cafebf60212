"""Eye coordinates: along the eye and across it, from its middle.

Lengths along the eye count in its width as it is seen; lengths across count in what the width would be on the
turned head, so that turning narrows the eye without flattening it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import eye_axes
from avatarkit.systems.landmark_warp.openings import Region

Array = NDArray[np.float64]

# What is kept of the surroundings of an eye, in eye widths from its middle.
HALF_WIDTH, HALF_HEIGHT = 0.8, 0.55
MIN_PATCH_PX = 48


@dataclass(frozen=True)
class EyeFrame:
    """One eye in a picture: its middle (2,), the unit vector (2,) along it, and the two unit lengths in pixels."""

    middle: Array
    along: Array
    width: float
    height: float

    @staticmethod
    def of(landmarks: Array, eye: int, height: float | None = None) -> "EyeFrame":
        """The frame of an eye; the unit across is its width where no other is given."""
        middle, along, width = eye_axes(landmarks, eye)
        return EyeFrame(middle, along, width, width if height is None else height)

    @property
    def across(self) -> Array:
        """The unit vector (2,) across the eye, downwards."""
        return np.array([-self.along[1], self.along[0]])

    def local(self, points: Array) -> Array:
        """Eye coordinates (..., 2) of points (..., 2) in pixels."""
        offset = points - self.middle
        return np.stack([offset @ self.along / self.width, offset @ self.across / self.height], axis=-1)

    def of_region(self, region: Region) -> NDArray[np.float32]:
        """Eye coordinates (h, w, 2) of a region's pixels."""
        x, y = region.pixels()
        dx, dy = x - np.float32(self.middle[0]), y - np.float32(self.middle[1])
        ax, ay = np.float32(self.along[0]), np.float32(self.along[1])
        wide, high = np.float32(self.width), np.float32(self.height)
        result = np.empty((y.shape[0], x.shape[1], 2), np.float32)
        np.add(dx * ax / wide, dy * ay / wide, out=result[..., 0])
        np.subtract(dy * ax / high, dx * ay / high, out=result[..., 1])
        return result


@dataclass(frozen=True)
class EyePatch:
    """The surroundings of a source's eye: RGB float32 (h, w, 3), `per_width` pixels to an eye width.

    drop: an eye width in head units.
    """

    pixels: NDArray[np.float32]
    per_width: float
    drop: float

    @staticmethod
    def cut(picture: NDArray[np.uint8], landmarks: Array, eye: int, head_scale: float) -> "EyePatch":
        """Cut the patch out of a picture, level with the eye."""
        frame = EyeFrame.of(landmarks, eye)
        per_width = max(frame.width, MIN_PATCH_PX)
        columns, rows = round(2 * HALF_WIDTH * per_width) + 1, round(2 * HALF_HEIGHT * per_width) + 1
        local = np.stack(
            np.meshgrid(np.arange(columns) / per_width - HALF_WIDTH, np.arange(rows) / per_width - HALF_HEIGHT), axis=2
        )
        points = frame.middle + frame.width * (local[..., :1] * frame.along + local[..., 1:] * frame.across)
        return EyePatch(sample(picture, points).astype(np.float32), per_width, frame.width / head_scale)

    @property
    def local(self) -> Array:
        """Eye coordinates (h, w, 2) of the patch's pixels."""
        rows, columns = self.pixels.shape[:2]
        a, b = np.arange(columns) / self.per_width - HALF_WIDTH, np.arange(rows) / self.per_width - HALF_HEIGHT
        return np.stack(np.meshgrid(a, b), axis=2)

    def with_pixels(self, pixels: NDArray[np.float32]) -> "EyePatch":
        """The same place with other colours."""
        return replace(self, pixels=pixels)

    def at(self, local: NDArray[np.float32]) -> NDArray[np.float32]:
        """Colours (h, w, 3) at eye coordinates (h, w, 2)."""
        return sample(self.pixels, self.places(local))

    def places(self, local: NDArray[np.float32]) -> NDArray[np.float32]:
        """Eye coordinates (h, w, 2) in the patch's pixels."""
        # One number for each column and row less to add than to eye coordinates themselves.
        result = local * np.float32(self.per_width)
        result += np.array([HALF_WIDTH * self.per_width, HALF_HEIGHT * self.per_width], np.float32)
        return result


def turned_away(landmarks: Array, eye: int, rotation: Array) -> bool:
    """Whether the eye's opening shows its back, or the bridge of the nose hides its inner corner.

    Args:
        rotation: (3, 3) of the head, which may lie on its side.
    """
    down = rotation[:2, 1]
    # Aside of the line that runs down the face; towards the person's left, as (1, 0) where the head is upright.
    outer, inner, bridge = landmarks[[lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1], 168], :2] @ [down[1], -down[0]]
    return bool(inner <= outer or bridge < inner) if eye == 0 else bool(inner >= outer or bridge > inner)
