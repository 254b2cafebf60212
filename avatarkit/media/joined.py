"""Whether a second file of the same kind stands behind the first, as after a join by `cat`, where ffmpeg stops."""

from __future__ import annotations

import re
from pathlib import Path

# Long enough not to come up by chance in gigabytes of packets.
_STARTS = (
    # Flash Video File Format Specification 10.1, annex E.2: the header and the size of "the tag before"
    re.compile(rb"FLV\x01.\x00\x00\x00\x09\x00\x00\x00\x00", re.DOTALL),
    # Advanced Systems Format, section 10.1: ASF_Header_Object
    re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    # SMPTE 377-1, section 7.1: header partition pack
    re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"),
)


_LONGEST = 16
_BLOCK = 1 << 20


def second_start(path: Path) -> bool:
    """Whether `path` begins as FLV, WMV or MXF and holds such a beginning once more."""
    with path.open("rb") as file:
        block = file.read(_BLOCK)
        start = next((start for start in _STARTS if start.match(block)), None)
        if start is None:
            return False
        block = block[1:]
        while not start.search(block):
            more = file.read(_BLOCK)
            if not more:
                return False
            block = block[-_LONGEST:] + more
    return True
