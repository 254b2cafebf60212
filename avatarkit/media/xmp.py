"""XMP packets in files: written where each format keeps them, and found in any file by the packet's own marks."""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""Of the top-level box that holds XMP in MP4 and QuickTime files."""
PNG_KEYWORD = b"XML:com.adobe.xmp"
JPEG_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
BEGIN, END = b"<?xpacket begin=", b"<?xpacket end="
LONGEST = 1 << 20
_QUOTE = {'"': "&quot;"}
_PNG = b"\x89PNG\r\n\x1a\n"
_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "avatarkit": "urn:avatarkit:xmp:1",
}


def packet(properties: dict[str, str], description: str) -> bytes:
    """An XMP packet.

    Args:
        properties: texts by qualified names, of the prefixes xmp, Iptc4xmpExt and avatarkit.
        description: goes into dc:description.
    """
    spaces = " ".join(f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _SPACES.items() if prefix != "rdf")
    # In double quotes always: that is how the properties are found again.
    values = "".join(f' {name}="{escape(value, _QUOTE)}"' for name, value in properties.items())
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf={quoteattr(_SPACES["rdf"])}>'
        f'<rdf:Description rdf:about="" {spaces}{values}><dc:description><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{escape(description)}</rdf:li></rdf:Alt></dc:description>'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
    return text.encode()


def add_xmp(path: Path, data: bytes) -> bool:
    """Put a packet into a finished MP4, MOV, PNG or JPEG file; returns whether its format is one of them.

    Other formats take it while they are written.
    """
    suffix = path.suffix.lower()
    if suffix in (".mp4", ".mov"):
        # The last box of the file: nothing that an index points to moves.
        with path.open("ab") as file:
            file.write((24 + len(data)).to_bytes(4, "big") + b"uuid" + UUID + data)
        return True
    if suffix == ".png":
        body = path.read_bytes()
        at = len(_PNG) + 25  # behind the header chunk
        path.write_bytes(body[:at] + _chunk(b"iTXt", PNG_KEYWORD + b"\0\0\0\0\0" + data) + body[at:])
        return True
    if suffix in (".jpg", ".jpeg"):
        body = path.read_bytes()
        segment = JPEG_HEADER + data
        path.write_bytes(body[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + body[2:])
        return True
    return False


def find_xmp(path: Path) -> str | None:
    """The first packet in a file of any format, not empty, as text; None without one."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        start = body.find(BEGIN)
        end = body.find(END, start, start + LONGEST) if start >= 0 else -1
        return body[start:end].decode("utf-8", "replace") if end >= 0 else None


def holds(path: Path, text: bytes) -> bool:
    """Whether a file, not empty, holds these bytes anywhere."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return body.find(text) >= 0


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
