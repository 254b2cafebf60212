"""RGB frames as the planes of 4:2:0 BT.709 video in limited range.

Here it takes a third of the time that ffmpeg's exact conversion takes, and half as many bytes go through the pipe.
Source of the coefficients: ITU-R BT.709-6, sections 3.2 to 3.5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["even_side", "planes420", "yuv420"]

Plane = NDArray[np.uint8]
_BAND = 64
"""Rows, an even number."""

_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722
_LUMA = np.array([[_RED, _GREEN, _BLUE]])
_BLUE_DIFFERENCE = (np.array([[0.0, 0.0, 1.0]]) - _LUMA) / (2 * (1 - _BLUE))
_RED_DIFFERENCE = (np.array([[1.0, 0.0, 0.0]]) - _LUMA) / (2 * (1 - _RED))
_TO_YUV = np.vstack(
    [
        np.hstack([_LUMA * 219 / 255, [[16.0]]]),
        *(np.hstack([row * 224 / 255, [[128.0]]]) for row in (_BLUE_DIFFERENCE, _RED_DIFFERENCE)),
    ]
)


def yuv420(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The planes Y (H, W), U and V (H/2, W/2) of an RGB frame (H, W, 3), uint8, one after the other in one row.

    Where a side is odd its last row or column is repeated, as `even_side` counts it.
    """
    height, width = frame.shape[:2]
    rows, columns = even_side(height), even_side(width)
    packed = np.empty(rows * columns * 3 // 2, np.uint8)
    luma, *chroma = planes420(packed, columns, rows)
    # A band at a time: what is between the frame and the planes stays within the processor.
    for top in range(0, rows, _BAND):
        # Three channels to three, and means of pairs: what OpenCV has fast ways for.
        yuv = cv2.transform(frame[top : top + _BAND], _TO_YUV)
        below = min(top + _BAND, rows) - top - len(yuv)
        if below or columns > width:
            yuv = cv2.copyMakeBorder(yuv, 0, below, 0, columns - width, cv2.BORDER_REPLICATE)
        half = cv2.resize(yuv, (columns // 2, len(yuv) // 2), interpolation=cv2.INTER_AREA)
        if columns > 2:
            # Chroma samples lie at the left one of each pair of columns: the mean of the pairs to its left and right.
            left = cv2.resize(yuv[:, 1:-1], (columns // 2 - 1, len(yuv) // 2), interpolation=cv2.INTER_AREA)
            half[:, 1:] = cv2.addWeighted(half[:, 1:], 0.5, left, 0.5, 0.0)
        cv2.extractChannel(yuv, 0, luma[top : top + len(yuv)])
        for channel, plane in enumerate(chroma, 1):
            cv2.extractChannel(half, channel, plane[top // 2 : (top + len(yuv)) // 2])
    return packed


def planes420(packed: NDArray[np.uint8], width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Views of the planes Y, U and V of a picture with even sides, packed as by `yuv420`."""
    whole, quarter = width * height, width * height // 4
    shape = height // 2, width // 2
    return (
        packed[:whole].reshape(height, width),
        packed[whole : whole + quarter].reshape(shape),
        packed[whole + quarter :].reshape(shape),
    )


def even_side(pixels: int) -> int:
    """A side in pixels, one more where it is odd."""
    return pixels + pixels % 2
