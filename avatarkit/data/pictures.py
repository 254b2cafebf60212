"""Encoded frames to pixels and back. Nothing here needs more than OpenCV."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError

Pixels = NDArray[np.uint8]
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_GREY = b"\x08\0\0\0\0"
"""Of a PNG's header: depth, colour type, and the only ways of packing, filtering and ordering; see PNG, 11.2.2."""
_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
LARGEST_SIDE = 8192
"""Pixels; of pictures whose dataset names no size."""


def encode_image(
    image: Pixels, image_format: str = "jpeg", quality: int = 95, *, full_colour: bool = True
) -> bytes:
    """Encode RGB (H, W, 3).

    Args:
        image: RGB uint8. image_format: "jpeg" or "webp". quality: 1 to 100.
        full_colour: JPEG keeps colours at full size (4:4:4): lips and irises are small and colourful. WebP cannot.
    """
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image_format == "jpeg":
        full, half = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full if full_colour else half]
        return _encoded(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
    return _encoded(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])


def encode_matte(matte: Pixels) -> bytes:
    """Encode a matte (H, W) as 8-bit grey PNG, without loss."""
    import cv2

    # OpenCV's way without a level: differences of neighbours, and of those only runs are packed. A third of the time
    # of choosing a filter for each row, and mattes, mostly runs, are hardly larger.
    return _encoded(".png", matte, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE])


def levels(matte: NDArray[np.float32]) -> Pixels:
    """A matte (H, W) in [0, 1] in levels 0 to 255."""
    import cv2

    return np.asarray(cv2.convertScaleAbs(matte, alpha=255.0), np.uint8)


def decode_image(data: bytes, where: str, *, reduce: int = 1, side: int | None = None) -> Pixels:
    """Decode to RGB (H, W, 3).

    Args:
        data: JPEG or WebP; OpenCV's other decoders never see it.
        where: begins the message of an error.
        reduce: 1, 2, 4 or 8: decode JPEG to that part of its size, by its own scaled transform, in less time. WebP has
            no such thing and is decoded whole.
        side: of the square picture in pixels; None takes any picture up to `LARGEST_SIDE`.

    Raises:
        InputError: it is another format or size, or cannot be decoded.
    """
    import cv2

    check_image(data, where, side)
    flags = cv2.IMREAD_COLOR
    if reduce > 1 and data.startswith(JPEG_START):
        flags = getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduce}")
    bgr = _decoded(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, where)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def decode_matte(data: bytes, where: str, *, side: int | None = None) -> Pixels:
    """Decode a PNG as `encode_matte` writes it to (H, W).

    Raises:
        InputError: it is another format or size, has colours, palettes or anything else beside its levels, which no
            decoder then sees, or cannot be decoded.
    """
    import cv2

    check_matte(data, where, side)
    return _decoded(data, cv2.IMREAD_GRAYSCALE, where)


def check_image(data: bytes, where: str, side: int | None = None) -> None:
    """Raise InputError unless the first bytes are those of a JPEG or WebP of the right size; see `decode_image`."""
    _check(data, ("JPEG", "WebP"), side, where)


def check_matte(data: bytes, where: str, side: int | None = None) -> None:
    """Raise InputError unless it is a PNG as `encode_matte` writes it, of the right size; see `decode_matte`."""
    _check(data, ("PNG",), side, where)
    if data[24:29] != _GREY or not _plain(data):
        raise InputError(f"{where}: is no plain PNG of 8-bit grey levels")


def resize(picture: Pixels, size: int) -> Pixels:
    """Square pictures (H, W[, 3]) at `size` x `size`: area average when they shrink, cubic when they grow."""
    import cv2

    height = picture.shape[0]
    if picture.shape[:2] == (size, size):
        return picture
    method = cv2.INTER_AREA if size < height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), np.uint8)


def reduction(stored: int, wanted: int) -> int:
    """The largest reduction of `decode_image` that leaves at least the wanted size and divides the stored one."""
    return next((n for n in (8, 4, 2) if stored % n == 0 and stored // n >= wanted), 1)


def picture_size(data: bytes) -> tuple[str, int, int] | None:
    """Format ("JPEG", "WebP" or "PNG"), width and height by the first bytes; None where they are no such picture."""
    try:
        if data.startswith(JPEG_START):
            return "JPEG", *_jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "WebP", *_webp_size(data)
        if data.startswith(PNG_START) and data[12:16] == b"IHDR":
            return "PNG", *struct.unpack(">II", data[16:24])
    except (struct.error, IndexError):
        return None  # cut off within its header
    return None


def _plain(data: bytes) -> bool:
    """Whether a PNG has no other chunks than header, levels and end."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] not in _CHUNKS:
            return False
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return True


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Of the first frame header; IndexError or struct.error where there is none."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise IndexError("no frame header")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Of a still WebP; struct.error where it is none."""
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", body[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and not body[0] & 2:  # an animation is no frame
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    raise struct.error


def _check(data: bytes, formats: tuple[str, ...], side: int | None, where: str) -> None:
    """Raise InputError unless the first bytes are of one of the formats, and of the right size."""
    result = picture_size(data)
    if result is None or result[0] not in formats:
        raise InputError(f"{where}: is not {' or '.join(formats)}")
    _, width, height = result
    if not 0 < width <= LARGEST_SIDE or not 0 < height <= LARGEST_SIDE or (side and (width, height) != (side, side)):
        wanted = f"{side} x {side}" if side else f"at most {LARGEST_SIDE} x {LARGEST_SIDE}"
        raise InputError(f"{where}: is {width} x {height} pixels, expected {wanted}")


def _encoded(suffix: str, pixels: Any, options: list[int]) -> bytes:
    import cv2

    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise InputError(f"a picture of shape {pixels.shape} cannot be encoded as {suffix[1:]}")
    return bytes(data.tobytes())


def _decoded(data: bytes, flags: int, where: str) -> Pixels:
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"{where}: cannot be decoded") from error
    if pixels is None:
        raise InputError(f"{where}: cannot be decoded")
    return np.asarray(pixels, np.uint8)
