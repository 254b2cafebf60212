"""What happened to the picture from one frame of a video to the next: nothing much, a move of the camera, or a cut."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Change", "CutDetector"]

_Thumbnail = NDArray[np.float32]

# A cut changes the thumbnail by this many grey levels on average, and by this many times the usual change.
_CUT_LEVELS, _CUT_RATIO = 20.0, 4.0
# The thumbnail's size. Changes are measured on one of half of it, moves of the camera on the whole.
_WIDTH, _HEIGHT = 96, 64
# Moves are measured where the thumbnail changed by this many levels; with less, nobody has moved far.
_MOVED_LEVELS = 6.0
# Of the change, this share may be left when the move has been undone. Measured: pans leave 0.2 at most, cuts 0.5.
_MOVED_SHARE, _LEAST_COMMON = 0.4, 0.3
# A frame right after a cut is another one only if it changed this many times as much: a row of large changes is motion.
_OVER_LAST = 1.5


@dataclass(frozen=True)
class Change:
    """The change from the frame before.

    cut: whether a new shot begins. moved: how far the picture's content moved as a whole, x and y in pixels.
    """

    cut: bool = False
    moved: tuple[float, float] = (0.0, 0.0)


class CutDetector:
    """Compares thumbnails of frames in order."""

    def __init__(self) -> None:
        self._last: _Thumbnail | None = None
        self._last_change = 0.0
        self._changes: deque[float] = deque(maxlen=25)
        self._window = cv2.createHanningWindow((_WIDTH, _HEIGHT), cv2.CV_32F)

    def look(self, frame: NDArray[np.uint8]) -> Change:
        """Take the next frame (H, W, 3); the first one is never a cut."""
        thumbnail, last = _thumbnail(frame), self._last
        self._last = thumbnail
        if last is None:
            return Change()
        change = _difference(thumbnail, last)
        moved = self._move(last, thumbnail, change) if change > _MOVED_LEVELS else None
        if moved is not None:
            # The camera's own motion neither is a cut nor makes cuts usual.
            self._last_change = 0.0
            scale = frame.shape[1] / _WIDTH, frame.shape[0] / _HEIGHT
            return Change(moved=(moved[0] * scale[0], moved[1] * scale[1]))
        cut = change > max(_CUT_LEVELS, _OVER_LAST * self._last_change)
        if cut and self._changes:
            cut = change > _CUT_RATIO * float(np.median(self._changes))
        self._last_change = change
        if cut:
            self._changes.clear()
        else:
            self._changes.append(change)
        return Change(cut)

    def _move(self, last: _Thumbnail, now: _Thumbnail, change: float) -> tuple[float, float] | None:
        """How far the content moved, in pixels of the thumbnail, if that explains the change; by phase correlation."""
        (x, y), _ = cv2.phaseCorrelate(last - last.mean(), now - now.mean(), self._window)
        dx, dy = round(x), round(y)
        width, height = _WIDTH - abs(dx), _HEIGHT - abs(dy)
        if width < 1 or height < 1 or width * height < _LEAST_COMMON * _WIDTH * _HEIGHT:
            return None
        before = last[max(0, -dy) : max(0, -dy) + height, max(0, -dx) : max(0, -dx) + width]
        after = now[max(0, dy) : max(0, dy) + height, max(0, dx) : max(0, dx) + width]
        # A fast move blurs along itself, and begins and ends between a sharp frame and a blurred one.
        along = (abs(dx) // 2 + 1, abs(dy) // 2 + 1)
        left = float(np.abs(cv2.blur(after - before, along)).mean())
        return (x, y) if left < _MOVED_SHARE * change else None


def _thumbnail(frame: NDArray[np.uint8]) -> _Thumbnail:
    height, width = frame.shape[:2]
    step = max(1, min(height, width) // 180)
    # Every n-th pixel first: to average all of them takes as long as the rest of the work on a frame's crop.
    few = cv2.resize(frame, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(few, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.float32)


def _difference(now: _Thumbnail, last: _Thumbnail) -> float:
    """Mean difference of grey levels at half the thumbnail's size."""
    change = now - last
    rows = change[::2] + change[1::2]
    return float(np.abs(rows[:, ::2] + rows[:, 1::2]).mean()) / 4.0
