"""Where the square around a head lies: wanted by each frame, smoothed over time, kept inside the picture.

The square never squashes: it is moved and, where the picture is too small for it, reduced until it lies inside, so that
every stored pixel is a real one. A head that the picture's edge cuts is no training material and is dropped earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.similarity import Similarity

__all__ = ["LOOK_AHEAD", "Window", "inside", "smoothed", "wanted"]

# In head units, about 9 cm: 36 cm around the middle of a head and neck, so that hair and some shoulders are in.
_SIDE_UNITS, _DOWN_UNITS = 4.0, 0.26
LOOK_AHEAD = 12
"""Frames that the smoothing looks ahead and back: 0.5 s at 25 a second."""
_CENTRE_SIGMA, _SIDE_SIGMA = 4.0, 6.0


@dataclass(frozen=True)
class Window:
    """A square in pixels of the picture: its middle (outer corners count from the first pixel's edge) and its side."""

    x: float
    y: float
    side: float

    @property
    def left(self) -> float:
        """The left edge; the upper one is `top`."""
        return self.x - self.side / 2.0

    @property
    def top(self) -> float:
        """The upper edge."""
        return self.y - self.side / 2.0

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.left + self.side, self.top + self.side

    def grown(self, factor: float) -> Window:
        """The same middle with another side."""
        return Window(self.x, self.y, self.side * factor)


def wanted(head: Similarity) -> Window:
    """The square that one frame alone asks for: the whole head with hair, and some shoulders.

    It goes by the point between the ears, which turning and nodding hardly move, and by the head's scale, which
    an opened mouth does not change.
    """
    x, y = head.translation[:2] + 0.5
    return Window(float(x), float(y + _DOWN_UNITS * head.scale), float(_SIDE_UNITS * head.scale))


def smoothed(numbers: Sequence[float], windows: Sequence[Window], number: float) -> Window:
    """The square of frame `number`: lines fitted to its neighbours up to `LOOK_AHEAD` away, with Gaussian weights.

    In the middle of a clip that is the Gaussian mean; at its ends a mean would lag behind a moving head.

    Args:
        numbers: ascending frame numbers, gaps allowed; `number` among them.
        windows: of the same frames.
    """
    near = [(n - number, w) for n, w in zip(numbers, windows, strict=True) if abs(n - number) <= LOOK_AHEAD]
    offset = np.array([n for n, _ in near], np.float64)
    values = np.array([(w.x, w.y, np.log(w.side)) for _, w in near])
    x, y = _line_at_zero(offset, values[:, :2], _CENTRE_SIGMA)
    (side,) = _line_at_zero(offset, values[:, 2:], _SIDE_SIGMA)
    return Window(float(x), float(y), float(np.exp(side)))


def _line_at_zero(
    offset: NDArray[np.float64], values: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """The value at offset 0 of the line through values (N, C) at offsets (N,), weighted least squares."""
    weights = np.exp(-0.5 * (offset / sigma) ** 2)
    weights /= weights.sum()
    mean = weights @ offset
    spread = float(weights @ (offset - mean) ** 2)
    middle: NDArray[np.float64] = weights @ values
    if spread < 1e-9:
        return middle
    slope = (weights * (offset - mean)) @ values / spread
    result: NDArray[np.float64] = middle - mean * slope
    return result


def inside(window: Window, left: float, top: float, right: float, bottom: float) -> Window:
    """The window moved, and reduced where it must be, to lie within a rectangle of outer edges."""
    side = min(window.side, right - left, bottom - top)
    x = float(np.clip(window.x, left + side / 2.0, right - side / 2.0))
    y = float(np.clip(window.y, top + side / 2.0, bottom - side / 2.0))
    return Window(x, y, side)
