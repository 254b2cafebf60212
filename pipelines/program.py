"""Which program this is: its own code and the packages that can change a result."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import avatarkit
from avatarkit import pipelines
from avatarkit.cache import LIMIT_BYTES, Cache
from avatarkit.runtime import versions


@lru_cache(maxsize=1)
def program_digest() -> str:
    """SHA-256 of this program's code and of the versions that can change a result.

    A version number alone would take results of another state of a checkout for its own.
    """
    digest = hashlib.sha256(json.dumps(dict(versions()), sort_keys=True).encode())
    for root in {Path(avatarkit.__path__[0]): None, Path(pipelines.__path__[0]): None}:
        for path in sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def open_cache(folder: Path, limit_bytes: int = LIMIT_BYTES) -> Cache:
    """The folder where this program keeps what it makes of sources and drivers."""
    return Cache(folder, program_digest(), limit_bytes)
