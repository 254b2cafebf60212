"""Encoded frames to pixels and back. Nothing here needs more than OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError

Pixels = NDArray[np.uint8]
JPEG_START = b"\xff\xd8\xff"


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


def decode_image(data: bytes, where: str, *, reduce: int = 1) -> Pixels:
    """Decode to RGB (H, W, 3).

    Args:
        data: JPEG, WebP or PNG.
        where: begins the message of an error.
        reduce: 1, 2, 4 or 8: decode JPEG to that part of its size, by its own scaled transform, in less time. Other
            formats have no such thing and are decoded whole.

    Raises:
        InputError: it cannot be decoded.
    """
    import cv2

    flags = cv2.IMREAD_COLOR
    if reduce > 1 and data.startswith(JPEG_START):
        flags = getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduce}")
    bgr = _decoded(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, where)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def decode_matte(data: bytes, where: str) -> Pixels:
    """Decode to (H, W); raises InputError where it cannot be decoded."""
    import cv2

    return _decoded(data, cv2.IMREAD_GRAYSCALE, where)


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
