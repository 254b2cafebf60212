"""What goes behind the head: read from an option's text, and loaded at the output's size."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError

__all__ = ["BackgroundSpec", "load_background", "parse_background"]

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_CHOICES = "use plate, keep, transparent, a colour such as #00b140, or the path of a picture"


@dataclass(frozen=True)
class BackgroundSpec:
    """A background choice.

    Attributes:
        kind: "plate" (the source's own background, inpainted behind the head), "keep" (the same, and a
            soft rim of it moves with the subject), "color", "image" or "transparent".
        color: RGB in 0..255 for kind "color", else None.
        image: the picture's path for kind "image", else None.
    """

    kind: Literal["plate", "keep", "color", "image", "transparent"]
    color: tuple[int, int, int] | None = None
    image: Path | None = None


def parse_background(text: str) -> BackgroundSpec:
    """Read a background option.

    Args:
        text: "plate", "keep", "transparent", "#rgb", "#rrggbb", or the path of an existing picture. A file
            that has the name of a choice is reached with a folder in front ("./plate").

    Raises:
        UsageError: none of these.
    """
    if text == "plate":
        return BackgroundSpec("plate")
    if text == "keep":
        return BackgroundSpec("keep")
    if text == "transparent":
        return BackgroundSpec("transparent")
    if _HEX.fullmatch(text):
        digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
        red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
        return BackgroundSpec("color", color=(red, green, blue))
    path = Path(text)
    if text.strip() and path.is_file():
        return BackgroundSpec("image", image=path)
    if text.strip() and path.is_dir():
        raise UsageError(f"background {text!r} is a folder, not a picture; {_CHOICES}")
    raise UsageError(f"background {text!r} is neither a choice, a colour, nor an existing file; {_CHOICES}")


def load_background(
    spec: BackgroundSpec, width: int, height: int, read_image: Callable[[Path], NDArray[np.uint8]]
) -> NDArray[np.uint8] | None:
    """Make the background that does not depend on the source.

    Args:
        spec: the choice.
        width, height: size of the output in pixels.
        read_image: returns the RGB uint8 picture at a path (its errors pass through).

    Returns:
        height x width x 3 uint8: the flat colour, or the picture scaled to cover the size and cropped about
        its centre. None for "plate", "keep" and "transparent".
    """
    if spec.color is not None:
        return np.full((height, width, 3), spec.color, np.uint8)
    if spec.image is None:
        return None
    return _cover(read_image(spec.image), width, height)


def _cover(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    source_height, source_width = image.shape[:2]
    scale = max(width / source_width, height / source_height)
    crop_width = min(source_width, max(1, round(width / scale)))
    crop_height = min(source_height, max(1, round(height / scale)))
    left, top = (source_width - crop_width) // 2, (source_height - crop_height) // 2
    crop = np.ascontiguousarray(image[top : top + crop_height, left : left + crop_width])
    shrinks = crop_width > width
    scaled = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.uint8)
