"""Small files of a dataset: written whole or not at all, and read with an error that names the file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avatarkit.errors import InputError

_PASSING = re.compile(r"\.(.+)-[0-9a-f]{8}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    The temporary name is `.NAME-` with eight hexadecimal digits; a killed program leaves it behind (`left_over_of`).

    Raises:
        OSError: the place cannot be written, or the disk is full; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def left_over_of(name: str) -> str | None:
    """The file that a temporary of `write_whole` was to become, None for any other name."""
    match = _PASSING.fullmatch(name)
    return match[1] if match else None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """`write_whole` for json; the same value gives the same bytes.

    Raises:
        OSError: the place cannot be written, or the disk is full; `path` is then as it was.
        ValueError: a number in it is not finite.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a json file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged: not json") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged: not a json object")
    return value


def sync_file(path: Path) -> None:
    """Flush a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
