"""Keys of files, safe in ids and in file names."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import PurePosixPath

LONGEST_KEY = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def keys_of(names: list[PurePosixPath]) -> list[str]:
    """A key for each file, safe in ids and file names: its path without the ending.

    Where that has other characters than letters, digits and _ . -, is long, or belongs to two files, a hash of the
    path is added.
    """
    plain = ["-".join(name.with_suffix("").parts) for name in names]
    safe = [_UNSAFE.sub("_", text).lstrip(".-") or "video" for text in plain]
    # Case-insensitively: the keys become file names on export.
    taken = Counter(text.lower() for text in safe)
    keys = []
    for name, text, clean in zip(names, plain, safe, strict=True):
        if clean == text and taken[clean.lower()] == 1 and len(clean) <= LONGEST_KEY:
            keys.append(clean)
        else:
            keys.append(f"{clean[:LONGEST_KEY]}-{hashlib.sha256(str(name).encode()).hexdigest()[:8]}")
    return keys
