"""Whether a Matroska or WebM file has its index, which is written last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

# RFC 8794 (EBML) and RFC 9559 (Matroska), section 5.1
_SEGMENT = 0x18538067
_CUES = 0x1C53BB6B


def has_cues(path: Path) -> bool:
    """Whether `path` has a complete Cues element, the index of its key frames."""
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        position, end = 0, total
        while position < end:
            file.seek(position)
            kind, size = _number(file, keep_marker=True), _number(file, keep_marker=False)
            if kind is None or size is None:
                return False
            if kind == _SEGMENT:
                position = file.tell()
                continue
            position = file.tell() + size
            if kind == _CUES:
                return position <= total
    return False


def _number(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """A number of one to eight bytes whose length is in the leading zero bits of the first."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    head = first[0] if keep_marker else first[0] ^ (0x80 >> extra)
    return int.from_bytes(bytes([head]) + rest, "big") if len(rest) == extra else None
