"""Is this file the one that the lock file means: digests of its bytes against published and pinned ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from avatarkit.weights.lock import WeightFile

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digests:
    """What a file's bytes come to: SHA-256 and MD5 in hexadecimal digits, and their number."""

    sha256: str
    md5: str
    size_bytes: int


class Digester:
    """Takes a file's bytes piece by piece."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size_bytes = 0

    def update(self, block: bytes) -> None:
        """Add the next bytes."""
        self._sha256.update(block)
        self._md5.update(block)
        self._size_bytes += len(block)

    def result(self) -> Digests:
        """The digests of all bytes so far."""
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest(), self._size_bytes)


def digests_of(handle: IO[bytes], each: Callable[[bytes], object] | None = None) -> Digests:
    """Digests of what is left to read in `handle`; `each` is given every piece in turn."""
    digester = Digester()
    while block := handle.read(BLOCK_BYTES):
        digester.update(block)
        if each is not None:
            each(block)
    return digester.result()


def mismatch(weight: WeightFile, found: Digests, pinned_sha256: str | None) -> str | None:
    """Why a file is not `weight`, with both hashes or both sizes; None when it is.

    Where no hash was published the pinned one counts, and where there is none of either only the size.
    """
    if weight.sha256 or weight.sha256_prefix:
        wanted = weight.sha256 or weight.sha256_prefix or ""
        if not found.sha256.startswith(wanted):
            return f"its sha256 is {found.sha256}, expected {weight.published_hash}"
    if weight.md5 and found.md5 != weight.md5:
        return f"its md5 is {found.md5}, expected {weight.md5}"
    if weight.sha256 is None and pinned_sha256 and found.sha256 != pinned_sha256:
        return f"its sha256 is {found.sha256}, pinned at first use was {pinned_sha256}"
    if weight.size_bytes is not None and found.size_bytes != weight.size_bytes:
        return f"it has {found.size_bytes} bytes, expected {weight.size_bytes}"
    return None


def identified_by_hash(weight: WeightFile) -> bool:
    """Whether others vouch for the file's bytes, wholly or by the start of a hash."""
    return weight.published_hash is not None
