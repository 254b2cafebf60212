"""Shared by eyes and mouth: soft outlines, regions of a frame, and blending into it."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.easing import eased

Array = NDArray[np.float64]
Pixel = TypeVar("Pixel", np.uint8, np.float32)
_BITS = 4
_FEWEST_SIGMA_PX = 3.0
"""Reduced masks are blurred by at least this: below, pixels of bytes would show steps."""
_LARGE = 1 << 14


@dataclass(frozen=True)
class Region:
    """A rectangle of a frame in whole pixels: left, top, right, bottom (the last two exclusive)."""

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def whole(width: int, height: int) -> "Region":
        """All of a frame."""
        return Region(0, 0, width, height)

    def united(self, other: "Region") -> "Region":
        """The rectangle around both."""
        low, high = (min(self.left, other.left), min(self.top, other.top)), (self.right, self.bottom)
        return Region(*low, max(high[0], other.right), max(high[1], other.bottom))

    def shared(self, other: "Region") -> "Region | None":
        """The rectangle in both; None where they have none in common."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Region(left, top, right, bottom) if right > left and bottom > top else None

    def moved(self, right: int, down: int) -> "Region":
        """The same rectangle elsewhere."""
        return Region(self.left + right, self.top + down, self.right + right, self.bottom + down)

    @staticmethod
    def around(points: Array, pad: float, width: int, height: int) -> "Region | None":
        """The rectangle around points (N, 2), padded and cut to the frame; None when nothing is left of it."""
        low, high = points.min(0) - pad, points.max(0) + pad
        left, top = max(0, int(np.floor(low[0]))), max(0, int(np.floor(low[1])))
        right, bottom = min(width, int(np.ceil(high[0])) + 1), min(height, int(np.ceil(high[1])) + 1)
        return Region(left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None

    def pixels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """X (1, w) of the columns and y (h, 1) of the rows of the rectangle."""
        x = np.arange(self.left, self.right, dtype=np.float32)
        y = np.arange(self.top, self.bottom, dtype=np.float32)
        return x[None], y[:, None]

    def of(self, image: NDArray[Pixel]) -> NDArray[Pixel]:
        """The image's part, as a view."""
        return image[self.top : self.bottom, self.left : self.right]


def smooth_curve(points: Array, finer: int = 4) -> Array:
    """An open curve ((N - 1) * finer + 1, 2) through points (N, 2), rounded by a cubic spline."""
    return np.asarray(_spline(len(points), finer) @ points, np.float64)


def smooth_ring(points: Array, finer: int = 4) -> Array:
    """A closed curve (N * finer, 2) through points (N, 2), rounded by a cubic spline all around."""
    return np.asarray(_closed_spline(len(points), finer) @ points, np.float64)


@lru_cache(maxsize=8)
def _closed_spline(points: int, finer: int) -> Array:
    """Matrix that evaluates the closed cubic spline through `points` evenly spaced values, `finer` times as densely."""
    # Slopes at the points from their neighbours' values, then cubics between.
    one = np.eye(points)
    ahead, behind = np.roll(one, -1, axis=0), np.roll(one, 1, axis=0)
    slopes = np.linalg.solve(4.0 * one + np.roll(one, 1, axis=1) + np.roll(one, -1, axis=1), 3.0 * (ahead - behind))
    t = np.arange(finer)[None, :, None] / finer
    begin, end, first, last = (m[:, None, :] for m in (one, ahead, slopes, np.roll(slopes, -1, axis=0)))
    curve = begin * (1.0 + 2.0 * t) * (1.0 - t) ** 2 + end * t**2 * (3.0 - 2.0 * t)
    curve = curve + first * t * (1.0 - t) ** 2 - last * t**2 * (1.0 - t)
    return np.asarray(curve.reshape(points * finer, points), np.float64)


@lru_cache(maxsize=8)
def _spline(points: int, finer: int) -> Array:
    """Matrix that evaluates the cubic spline through `points` evenly spaced values, `finer` times as densely.

    Its third derivative is steady at the second point from either end ("not a knot").
    """
    at = np.arange(points, dtype=np.float64)
    powers, knots = np.arange(min(points, 4)), at[2:-2]

    def basis(x: Array) -> Array:
        return np.concatenate([x[:, None] ** powers, np.maximum(x[:, None] - knots, 0.0) ** 3], axis=1)

    dense = np.linspace(0.0, points - 1.0, finer * (points - 1) + 1)
    return np.asarray(np.linalg.solve(basis(at).T, basis(dense).T).T, np.float64)


def heights(curve: Array, along: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Second coordinates of a curve (N, 2) at first coordinates `along`; level beyond its ends.

    A curve that turns back, as the far side of a mouth does that is seen from aside, ends where it does so.
    """
    curve = curve if curve[0, 0] < curve[-1, 0] else curve[::-1]
    across, middle = curve[:, 0], len(curve) // 2
    farthest = np.concatenate([
        np.minimum.accumulate(across[middle::-1])[::-1], np.maximum.accumulate(across[middle:])[1:]
    ])  # fmt: skip
    ahead = across == farthest
    return np.interp(along, across[ahead], curve[ahead, 1]).astype(np.float32)


def rise(values: NDArray[np.floating[Any]], start: float = 0.0, stop: float = 1.0) -> NDArray[np.float32]:
    """As `easing.rise`, of single precision: 0 up to `start`, 1 from `stop` on."""
    t = np.clip((np.asarray(values, np.float32) - np.float32(start)) / np.float32(stop - start), 0.0, 1.0)
    return np.asarray(eased(t), np.float32)


def rise_at(value: float, start: float = 0.0, stop: float = 1.0) -> float:
    """As `rise`, of one value: a tenth of the time."""
    return eased(min(max((value - start) / (stop - start), 0.0), 1.0))


def lay(colours: NDArray[np.float32], over: NDArray[np.float32], cover: NDArray[np.float32]) -> None:
    """Lay colours (h, w, 3) or one (3,) over others by a cover (h, w), in place: by channels, which is quicker."""
    for channel in range(3):
        part = colours[..., channel]
        part += cover * (over[..., channel] - part)


def times(colours: NDArray[np.float32], light: NDArray[np.float32]) -> None:
    """Multiply colours (h, w, 3) by a light (h, w), in place."""
    import cv2

    # As many channels as the colours have: one that is repeated on the way takes several times as long.
    colours *= cv2.merge([light] * colours.shape[2])


def soft_mask(outline: Array, region: Region, softness_px: float) -> NDArray[np.float32]:
    """Coverage (h, w) in [0, 1] of a closed outline (N, 2) in frame pixels, with an edge of the given softness."""
    import cv2

    rows, columns = region.bottom - region.top, region.right - region.left
    # What a wide blur leaves has nothing finer than a smaller mask holds. Outlines go on beyond the region.
    step = max(int(softness_px / _FEWEST_SIGMA_PX), 1)
    beyond = math.ceil(3.0 * softness_px / step) * step
    sides = [-(-(side + 2 * beyond) // step) * step for side in (rows, columns)]
    mask = fill(outline - [region.left - beyond, region.top - beyond], (sides[0], sides[1]), 255)
    if step > 1:
        size = mask.shape[1] // step, mask.shape[0] // step
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    if softness_px > 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness_px / step), np.uint8)
    if step > 1:
        mask = np.asarray(cv2.resize(mask, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR), np.uint8)
    return mask[beyond:, beyond:][:rows, :columns].astype(np.float32) * np.float32(1.0 / 255.0)


def fill(outline: Array, shape: tuple[int, ...], value: int = 1) -> NDArray[np.uint8]:
    """A mask (h, w) of `value` inside a closed outline (N, 2); its edge is smooth for values above 1."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    fixed: Any = np.round(outline * (1 << _BITS)).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(mask, [fixed], [float(value)], cv2.LINE_AA if value > 1 else cv2.LINE_8, _BITS)
    return mask


def blend(image: NDArray[np.uint8], colours: NDArray[np.float32], mask: NDArray[np.float32]) -> None:
    """Lay colours (h, w, 3), 0 to 255, over an image part by a mask (h, w), in place."""
    if mask.size > _LARGE:
        # Of large parts most is often left alone.
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not len(rows):
            return
        inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image, colours, mask = image[inside], colours[inside], mask[inside]
    import cv2

    under = image.astype(np.float32)
    over = colours - under
    # As many channels as the picture has: a mask that is repeated on the way takes several times as long.
    over *= cv2.merge([mask] * image.shape[2])
    over += under
    over += np.float32(0.5)
    np.maximum(over, np.float32(0.0), out=over)
    np.minimum(over, np.float32(255.0), out=over)
    np.copyto(image, over, casting="unsafe")
