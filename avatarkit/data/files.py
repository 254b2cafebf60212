"""Small files of a dataset: written whole or not at all, and read with an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_whole
from avatarkit.errors import InputError


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
