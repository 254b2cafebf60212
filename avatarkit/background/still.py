"""A picture that stands still behind what is drawn of each frame, in the planes that encoders take.

It is converted once. Of a frame only that is laid over it and converted which its alpha shows: often less than half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.composite import composite
from avatarkit.geometry.crop import Crop
from avatarkit.media.yuv import even_side, fill420, planes420

__all__ = ["Seam", "StillPicture", "seams"]

Picture = NDArray[np.uint8]
Seam = tuple[tuple[slice, slice], NDArray[np.uint8]]
Part = tuple[slice, slice]

JOIN_BAND = 0.03
"""What is drawn of a picture runs into the whole one over this share of its longer side."""
BAND_PX = 128
"""Rows that are laid over at a time, an even number: what is between the layers and the planes stays within the
processor."""


@dataclass(frozen=True)
class StillPicture:
    """A whole picture, and the part of it that is drawn.

    planes: as `yuv420` gives them, of the whole picture while nothing is drawn. picture: RGB (H, W, 3) around the drawn
    part. behind: RGB (h, w, 3) in the drawn part. left, top: where that begins. seams: see `seams`.
    """

    planes: NDArray[np.uint8]
    picture: Picture
    behind: Picture
    corner: tuple[int, int] = (0, 0)
    seams: Sequence[Seam] = ()

    def under(self, colours: Picture, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The planes of the whole picture with colours (h, w, 3) laid over the drawn part by an alpha (h, w).

        The colours are overwritten.
        """
        packed, (down, across) = self.planes.copy(), self.corner
        colours = np.require(colours, np.uint8, ("C", "W"))
        height, width = self.picture.shape[:2]
        planes = planes420(packed, even_side(width), even_side(height))
        for top in range(down - down % 2, down + len(alpha), BAND_PX):
            rows = slice(max(top - down, 0), min(top - down + BAND_PX, len(alpha)))
            seen = np.flatnonzero(alpha[rows].max(0))
            if not len(seen):
                continue
            # Each sample of chroma takes part of the column before it: it changes too, and needs one more pair.
            first, last = across + int(seen[0]), across + int(seen[-1]) + 1
            left, right = max((first - 1) // 2 * 2 - 2, 0), min(last // 2 * 2 + 2, width)
            bottom = min(top + BAND_PX, height)
            fill420(planes, self._pixels(colours, alpha, (slice(top, bottom), slice(left, right))), left, top)
        return packed

    def _pixels(self, colours: Picture, alpha: NDArray[np.uint8], part: Part) -> Picture:
        """RGB (h, w, 3) of a part of the whole picture."""
        down, across = self.corner
        size = part[0].stop - part[0].start, part[1].stop - part[1].start
        drawn = _within(_moved(part, -down, -across), alpha)
        _lay(colours[drawn], alpha[drawn], self.behind[drawn])
        joined = [(strip, levels) for strip, levels in (_cut(seam, drawn) for seam in self.seams) if levels.size]
        if not joined and colours[drawn].shape[:2] == size:
            return colours[drawn]
        result, to = self.picture[part].copy(), (down - part[0].start, across - part[1].start)
        result[_moved(drawn, *to)] = colours[drawn]
        for strip, levels in joined:
            result[_moved(strip, *to)] = composite(colours[strip], levels, self.picture[_moved(strip, down, across)])
        return result


def seams(crop: Crop, size: tuple[int, int]) -> list[Seam]:
    """Strips along those edges of an unscaled crop that lie inside the picture, with the drawn part's weight there.

    The subject hardly moves at these edges; the little that it does must not show as a line.
    """
    columns, rows = crop.shown
    width, height = size
    band = max(2, round(JOIN_BAND * max(rows, columns)))
    rise = ((np.arange(band) + 0.5) / band).astype(np.float32)
    across, down = np.ones((1, columns), np.float32), np.ones((rows, 1), np.float32)
    edges = (
        (crop.left > 0, 0, 0, down * rise),
        (crop.left + crop.width < width, 0, columns - band, down * rise[::-1]),
        (crop.top > 0, 0, 0, rise[:, None] * across),
        (crop.top + crop.height < height, rows - band, 0, rise[::-1, None] * across),
    )
    result = []
    for inner, top, left, weight in edges:
        if inner:
            strip = slice(top, top + weight.shape[0]), slice(left, left + weight.shape[1])
            result.append((strip, np.asarray(cv2.convertScaleAbs(weight, alpha=255.0), np.uint8)))
    return result


def _lay(colours: Picture, alpha: NDArray[np.uint8], behind: Picture) -> None:
    """Lay colours over what is behind them, in place. Most lies in columns that are opaque all through."""
    mixed = np.flatnonzero(alpha.min(0) < 255)
    ends = np.concatenate([[-1], mixed, [alpha.shape[1]]])
    widest = int(np.argmax(np.diff(ends)))
    for side in (slice(0, ends[widest] + 1), slice(ends[widest + 1], None)):
        if alpha[:, side].size:
            composite(colours[:, side], alpha[:, side], behind[:, side], in_place=True)


def _within(part: Part, whole: NDArray[np.uint8]) -> Part:
    """What of a part lies in a picture (h, w, ...)."""
    rows, columns = (slice(max(of.start, 0), min(of.stop, side)) for of, side in zip(part, whole.shape, strict=False))
    return rows, columns


def _moved(part: Part, down: int, right: int) -> Part:
    return slice(part[0].start + down, part[0].stop + down), slice(part[1].start + right, part[1].stop + right)


def _cut(seam: Seam, part: Part) -> Seam:
    """What of a seam lies in a part; its levels are empty where nothing does."""
    (of_rows, of_columns), levels = seam
    rows = slice(max(of_rows.start, part[0].start), min(of_rows.stop, part[0].stop))
    columns = slice(max(of_columns.start, part[1].start), min(of_columns.stop, part[1].stop))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return (rows, columns), levels[:0]
    return (rows, columns), levels[_moved((rows, columns), -of_rows.start, -of_columns.start)]
