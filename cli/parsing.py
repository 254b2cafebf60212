"""Options whose text needs reading beyond what Typer does."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from avatarkit.errors import UsageError

if TYPE_CHECKING:
    from avatarkit.face.types import FaceChoice


def point(text: str, option: str) -> tuple[float, float]:
    """Read "X,Y" as pixels.

    Raises:
        UsageError: the text is not two numbers with a comma between them.
    """
    return pair(text, option, "two numbers in pixels, such as 640,360")


def pair(text: str, option: str, expected: str = "two numbers, such as 0.1,-0.05") -> tuple[float, float]:
    """Read "X,Y" as two numbers.

    Raises:
        UsageError: it is not `expected`.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UsageError(f"{option} {text}: expected {expected}")
    return x, y


def face_choice(index: int | None, at: str | None, prefix: str = "--") -> FaceChoice:
    """The face meant by a pair of options: a number, a point, or neither for the largest face.

    Raises:
        UsageError: both are given, or the point cannot be read.
    """
    from avatarkit.face.types import FaceChoice

    if index is not None and at is not None:
        raise UsageError(f"{prefix}face and {prefix}face-at both choose the face: give one of them")
    return FaceChoice(index=index, at=None if at is None else point(at, f"{prefix}face-at"))


def reference_frame(text: str) -> str:
    """Check "auto", "first" or a frame number from 0.

    Raises:
        UsageError: it is none of them.
    """
    if text in ("auto", "first") or (text.isascii() and text.isdigit()):
        return text
    raise UsageError(f"--reference-frame {text}: expected auto, first or a frame number from 0")


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", re.IGNORECASE)


def byte_size(text: str, option: str) -> int:
    """Read "200GB", "1.5 TB" or a number of bytes.

    Raises:
        UsageError: it is none of them.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].upper() if match else "?"
    unit = unit if unit in _UNITS else f"{unit}B"
    if match is None or unit not in _UNITS:
        raise UsageError(f"{option} {text}: expected a size such as 200GB")
    return round(float(match[1]) * _UNITS[unit])
