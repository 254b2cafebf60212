"""How many samples the index of an MP4 or QuickTime file promises, to tell what a truncated one has lost."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MOST_BOXES = 100_000
"""Looked at in one place; a file of nothing but empty boxes would take minutes."""


def declared_samples(path: Path) -> int | None:
    """Number of samples that the index lists for the first video track.

    None where the file is no MP4, has no index, or is fragmented (its index then lists none).
    """
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            for kind, start, stop in _boxes(file, 0, end):
                if kind == b"moov":
                    return _video_samples(file, start, stop)
    except (OSError, struct.error):
        return None
    return None


def looks_like_mp4(path: Path) -> bool:
    """Whether the file begins as MP4 or QuickTime does."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def _video_samples(file: BinaryIO, start: int, stop: int) -> int | None:
    for kind, body, end in _boxes(file, start, stop):
        if kind == b"trak":
            media = _find(file, body, end, b"mdia")
            if media and _handler(file, *media) == b"vide":
                table = _find(file, *media, b"minf", b"stbl")
                return _sample_count(file, *table) if table else None
    return None


def _handler(file: BinaryIO, start: int, stop: int) -> bytes:
    box = _find(file, start, stop, b"hdlr")
    if box is None:
        return b""
    file.seek(box[0] + 8)
    return file.read(4)


def _sample_count(file: BinaryIO, start: int, stop: int) -> int | None:
    for kind, body, _ in _boxes(file, start, stop):
        if kind in (b"stsz", b"stz2"):
            file.seek(body + 8)
            count = int(struct.unpack(">I", file.read(4))[0])
            return count or None
    return None


def _find(file: BinaryIO, start: int, stop: int, *names: bytes) -> tuple[int, int] | None:
    """Body range of the box reached by following `names` downwards from a body range."""
    span: tuple[int, int] | None = (start, stop)
    for name in names:
        if span is None:
            return None
        span = next(((body, end) for kind, body, end in _boxes(file, *span) if kind == name), None)
    return span


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the body and end of every box between two offsets."""
    position = start
    for _ in range(MOST_BOXES):
        if position + 8 > stop:
            return
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        body = position + 8
        if size == 1:
            size = struct.unpack(">Q", file.read(8))[0]
            body += 8
        end = position + size if size else stop
        if end <= position + 7:
            return
        yield kind, body, min(end, stop)
        position = end
