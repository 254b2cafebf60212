"""Checks on input paths that every reader makes first."""

from __future__ import annotations

import os
from pathlib import Path

from avatarkit.errors import InputError


def check_readable(path: Path) -> None:
    """Raise InputError unless `path` is a readable, non-empty regular file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: permission denied")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes)")
