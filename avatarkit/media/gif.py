"""How many frames a GIF has, from its blocks alone: nothing is unpacked, so that it takes no longer than reading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO

from avatarkit.errors import InputError

MOST_SECONDS = 20
_EXTENSION, _IMAGE = b"\x21", b"\x2c"  # GIF89a, sections 20 and 23 to 26


def gif_frames(path: Path) -> int:
    """Frames of which at least the header is there; 1 where there is none.

    Raises:
        InputError: looking at all blocks takes more than 20 s.
    """
    until = time.monotonic() + MOST_SECONDS
    with path.open("rb") as file:
        header = file.read(13)
        _skip_colors(file, header[10:11])
        frames = 0
        while kind := file.read(1):
            if kind == _EXTENSION:
                file.read(1)
            elif kind == _IMAGE:
                place = file.read(9)
                if len(place) < 9:
                    break
                frames += 1
                _skip_colors(file, place[8:])
                file.read(1)
            else:
                break
            while size := file.read(1)[:1]:
                if size == b"\0":
                    break
                if time.monotonic() > until:
                    raise InputError(f"{path}: reading it takes more than {MOST_SECONDS} s; convert it to a video")
                file.seek(size[0], 1)
    return max(frames, 1)


def _skip_colors(file: BinaryIO, flags: bytes) -> None:
    """Skip a table of colours, if the flags say that one follows."""
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)
