"""Pictures with more than eight bits a channel, which Pillow would cut off or clip, rounded to eight."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

_PIECE = 1 << 20
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass of an interlaced PNG, and the steps to the next (PNG, section 8.2)."""
ByteArray = npt.NDArray[np.uint8]


def deep_pixels(image: Image.Image, path: Path | None) -> tuple[ByteArray, ByteArray | None] | None:
    """8-bit colour (RGB or grey) and alpha of a picture with more than 8 bits a channel, rounded and not
    cut off.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_8_bit(np.asarray(image)), None
    if path is None or not _has_16_bit_colour(image):
        return None
    # OpenCV gives the rows that are lacking as black.
    if image.format == "PNG" and not _has_all_rows(image, path):
        raise EOFError
    data: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if data is None or data.dtype != np.uint16 or data.ndim != 3:
        return None  # Pillow reads it too, with the low bits dropped
    color, alpha = words_to_bytes(data[..., 2::-1]), words_to_bytes(data[..., 3]) if data.shape[2] == 4 else None
    return color, alpha


def _has_all_rows(image: Image.Image, path: Path) -> bool:
    """Whether a PNG of 16 bits unpacks to as many bytes as its rows have; nothing is kept of them."""
    passes = _ADAM7 if image.info.get("interlace") else ((0, 0, 1, 1),)
    needed = 0
    for left, top, across, down in passes:
        width, height = -(-(image.width - left) // across), -(-(image.height - top) // down)
        needed += height * (1 + width * 2 * len(image.getbands())) if width > 0 else 0
    unpacked, stream = 0, zlib.decompressobj()
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            while kind == b"IDAT" and size and (piece := file.read(min(size, _PIECE))):
                size -= len(piece)
                while piece and unpacked < needed:
                    unpacked += len(stream.decompress(piece, _PIECE))
                    piece = stream.unconsumed_tail
            file.seek(size + 4, 1)
    return unpacked >= needed


def words_to_bytes(values: npt.NDArray[Any]) -> ByteArray:
    """uint16 to uint8 with 65535 -> 255 and rounding: the nearest of v / 257."""
    result = np.empty(values.shape, np.uint8)
    for row, words in enumerate(values):  # row by row: the sums are twice as wide
        result[row] = (words.astype(np.uint32) + 128) // 257
    return result


def _grey_to_8_bit(values: npt.NDArray[Any]) -> ByteArray:
    if values.dtype.kind == "f":
        top = 1.0 if float(values.max()) <= 1.0 else 255.0
        scaled: ByteArray = np.rint(np.clip(np.nan_to_num(values) / top, 0, 1) * 255).astype(np.uint8)
        return scaled
    return words_to_bytes(np.clip(values, 0, 65535))


def _has_16_bit_colour(image: Image.Image) -> bool:
    if image.format == "PNG" and image.mode in ("RGB", "RGBA"):
        tiles = getattr(image, "tile", None)
        return "16" in str(tiles[0][3]) if tiles else False
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, ())
        return len(bits) >= 3 and max(bits) == 16
    return False
