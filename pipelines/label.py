"""A small visible mark in a corner of every frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
HEIGHT = 0.028
"""Of the letters, in shares of the frame's shorter side."""
LEAST_PX = 9
WIDEST = 0.9
"""Of the label, in shares of the frame's width."""


class Label:
    """White letters on a dark ground, at the lower left; drawn once per size of frame.

    Args:
        text: what is written; one line.
    """

    def __init__(self, text: str) -> None:
        self._text = " ".join(text.split())
        self._drawn: tuple[tuple[int, ...], NDArray[np.float32]] | None = None

    def burn(self, frame: Picture) -> Picture:
        """The frame, RGB or straight RGBA, with the label; the frame itself is left as it is."""
        if self._drawn is None or self._drawn[0] != frame.shape[:2]:
            self._drawn = frame.shape[:2], _draw(self._text, *frame.shape[:2])
        patch = self._drawn[1]
        rows, columns = patch.shape[:2]
        result = frame.copy()
        part = result[-rows:, :columns]
        weight = patch[..., 1:]
        part[..., :3] = np.rint(part[..., :3] * (1 - weight) + 255 * patch[..., :1] * weight)
        if frame.shape[2] == 4:
            part[..., 3] = np.maximum(part[..., 3], np.rint(255 * patch[..., 1]))
        return result


def labelled(frames: Iterator[Picture], text: str) -> Iterator[Picture]:
    """Frames with a label."""
    label = Label(text)
    return (label.burn(frame) for frame in frames)


def _draw(text: str, height: int, width: int) -> NDArray[np.float32]:
    """The label's brightness and weight, (h, w, 2) in [0, 1], no larger than a frame."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(LEAST_PX, round(HEIGHT * min(height, width)))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    if right - left > WIDEST * width and size > LEAST_PX:
        size = max(LEAST_PX, int(size * WIDEST * width / (right - left)))
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
    pad = max(2, size // 3)
    picture = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad), 0)
    ImageDraw.Draw(picture).text((pad - left, pad - top), text, fill=255, font=font)
    ink = np.asarray(picture, np.float32)[:height, :width] / 255
    return np.dstack([ink, 0.55 + 0.4 * ink]).astype(np.float32)
