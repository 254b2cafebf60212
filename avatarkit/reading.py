"""How files of unknown origin are read: no link is followed, nothing special is opened, sizes and ranges are checked
before anything is taken at its word. Every reader of a format of ours begins here."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from avatarkit.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_JSON_BYTES = 64 << 20
"""Of json whose reader names no other limit."""
MOST_TENSORS = 2 << 20
"""Bytes of the header of tensors, which names each; those of our largest training have a quarter of it."""
LONGEST_LINE = 1 << 20
"""Bytes, of json lines."""
DEEPEST_JSON = 64
LONGEST_NUMBER = 40
"""Characters of a number in json; ours have 25 at most."""
LARGEST_WHOLE = 1 << 63
LONGEST_ID = 200
"""Bytes of an id; a part of it is the name of a folder on export."""

_ID_PART = re.compile(r"[\w-][\w.=+@~-]*")
_SHARD = re.compile(r"(train|val|test)-[0-9]{5}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def open_file(path: Path, *, links: bool = False) -> BinaryIO:
    """Open a regular file for reading, without waiting for anything.

    Args:
        path: the file. links: whether the path itself may be a link, as a path that a user names; folders above may be.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is a link, a folder, a pipe or a device, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        linked = isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.EMLINK)
        what = "is a link, which is not followed" if linked else getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read: {what}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: is not a regular file")
    return os.fdopen(descriptor, "rb")


def check_regular(path: Path) -> None:
    """Raise InputError where there is something else than a regular file, a link to one too; it is not opened."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise InputError(f"{path}: is a link, or no regular file")


def read_end(path: Path, count: int) -> bytes:
    """The last bytes of a file that `open_file` takes, `count` at most; none where there is no file."""
    with suppress(FileNotFoundError), open_file(path) as file:
        file.seek(-min(count, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read(count)
    return b""


def read_bytes(path: Path, most: int = MOST_JSON_BYTES, *, links: bool = False) -> bytes:
    """All bytes of a file that `open_file` takes; InputError also where it is larger than `most`."""
    with open_file(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise InputError(f"{path}: has {size} bytes, more than the {most} that such a file may have")
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return data


def parse_json(data: bytes) -> Any:
    """The value of a json text, UTF-8.

    Raises:
        ValueError: no json; NaN or Infinity; a number too long or too large, or tables too deep, to be meant.
    """
    try:
        value = json.loads(data, parse_int=_whole, parse_float=_real, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError("not json") from error
    except RecursionError as error:
        raise ValueError(f"tables in tables, more than {DEEPEST_JSON} deep") from error
    _check_depth(data, value)
    return value


def read_json(path: Path, most: int = MOST_JSON_BYTES) -> dict[str, Any]:
    """The object in a json file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read, or holds something else.
    """
    try:
        value = parse_json(read_bytes(path, most))
    except ValueError as error:
        raise InputError(f"{path}: is damaged: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged: not a json object")
    return value


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file that has one a line; a line that holds none, as a kill may leave it, is left out.

    Raises:
        FileNotFoundError: there is none. InputError: it cannot be read.
    """
    with open_file(path) as file:
        while line := file.readline(LONGEST_LINE):
            with suppress(ValueError):
                value = parse_json(line)
                if isinstance(value, dict):
                    yield value


def read_array(path: Path, most: int | None = None, *, mapped: bool = False) -> NDArray[Any]:
    """The array of numbers in a .npy file; its size is that of the file before anything is allocated.

    Args:
        path: the file. most: its bytes. mapped: its numbers stay on the disk; the array is then read-only.

    Raises:
        FileNotFoundError: there is none. InputError: it cannot be read, or holds something else.
    """
    import tokenize

    import numpy as np

    # numpy reads headers as Python's literals, after a second look at them as tokens.
    odd = (ValueError, TypeError, OSError, EOFError, RecursionError, MemoryError, SyntaxError, tokenize.TokenError)
    with open_file(path) as file:
        try:
            form: Any = np.lib.format
            header = form.read_array_header_1_0 if form.read_magic(file) == (1, 0) else form.read_array_header_2_0
            shape, by_columns, dtype = header(file)
            start, order = file.tell(), cast(Any, "F" if by_columns else "C")
            size = os.fstat(file.fileno()).st_size - start
            if most is not None and size > most:
                raise ValueError(f"{size} bytes, more than the {most} that are expected")
            if dtype.kind not in "biuf" or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
                raise ValueError(f"{dtype} {shape} in {size} bytes"[:80])
            if mapped and size:
                return np.memmap(file, dtype, "r", start, shape, order)
            return np.frombuffer(bytearray(file.read(size)), dtype).reshape(shape, order=order)
        except odd as error:
            raise InputError(f"{path}: is damaged: {error}") from error


def read_arrays(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """The arrays of numbers in a .safetensors file, by name; together they are exactly as large as the file.

    Args:
        path: the file. most: bytes that it may have.

    Raises:
        FileNotFoundError: there is none. InputError: it cannot be read, is larger, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    _, data = read_tensors(path, most)
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is damaged: {str(error)[:200]}") from error


def read_tensors(path: Path, most: int | None = None, *, links: bool = False) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file and all its bytes; its tensors must be exactly what follows the header.

    Args:
        path: the file. most: bytes that it may have; None: as many as its tensors. links: as `open_file`.

    Raises:
        FileNotFoundError: there is none. InputError: it cannot be read, is larger, or something else.
    """
    with open_file(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise InputError(f"{path}: has {size} bytes, more than the {most} that such a file may have")
        try:
            header, start = tensor_header(file)
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            if len(start) + max(ends, default=0) != size:
                raise ValueError(f"its tensors are not what it has {size} bytes for")
            return header, start + file.read()
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"{path}: is damaged: {str(error)[:200]}") from error


def tensor_header(file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """The header at the beginning of a safetensors file, and its bytes; it must not name far more tensors than are
    meant, which take seconds to make. ValueError where there is none.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if not 2 <= length <= min(MOST_TENSORS, os.fstat(file.fileno()).st_size - 8):
        raise ValueError("its header has no length that can be meant")
    start += file.read(length)
    return check_table(parse_json(start[8:]), "its header"), start


def check_id(name: object, what: str = "clip id") -> str:
    """Return `name` if it can stand in file names: parts of letters, digits and _ - . = + @ ~, with / between.

    Raises:
        InputError: it is empty, too long, absolute, or climbs out of its folder.
    """
    text = name if isinstance(name, str) and len(name) <= LONGEST_ID else ""
    if all(map(_ID_PART.fullmatch, text.split("/"))) and len(text.encode()) <= LONGEST_ID:
        return text
    raise InputError(
        f"{what} {shown(name)} cannot be used: letters, digits and _-.=+@~ are allowed, at most {LONGEST_ID} bytes,"
        " no part beginning with a dot"
    )


def check_shard_name(name: object) -> str:
    """Return the name of a shard, such as train-00000; InputError for anything else."""
    if not isinstance(name, str) or not _SHARD.fullmatch(name):
        raise InputError(f"shard {shown(name)}: is no name of a shard such as train-00000")
    return name


def is_shard_name(name: str) -> bool:
    """Whether a text is the name of a shard."""
    return _SHARD.fullmatch(name) is not None


def check_inside(name: object, what: str) -> str:
    """Return a relative path, / between parts, that does not climb; InputError for anything else."""
    if not isinstance(name, str) or not 0 < len(name) <= 4096 or name.startswith("/") or "\0" in name:
        raise InputError(f"{what} {shown(name)}: is not a path inside a folder")
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise InputError(f"{what} {shown(name)}: is not a path inside a folder")
    return name


def inside(folder: Path, name: str, what: str = "path") -> Path:
    """`folder / name`, with all links resolved still inside the folder; InputError where it is not."""
    path = folder / check_inside(name, what)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{what} {shown(name)}: leads out of {folder}")
    return path


def check_whole(value: object, what: str, least: int = 0, most: int = LARGEST_WHOLE - 1) -> int:
    """Return a whole number within its range; ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{what} is {shown(value)}")
    return value


def check_number(value: object, what: str, most: float = math.inf) -> float:
    """Return a number, not negative and at most `most`; ValueError for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{what} is {shown(value)}")
    return value


def check_text(value: object, what: str, most: int = 10_000) -> str:
    """Return a text without NUL, of at most `most` characters; ValueError for anything else."""
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise ValueError(f"{what} is {shown(value)}")
    return value


def check_table(value: object, what: str, of: Callable[[object, str], Any] | None = None) -> dict[str, Any]:
    """Return a table with texts as keys, its values checked by `of`; ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {shown(value)}")
    for key, entry in value.items() if of is not None else ():
        cast(Callable[[object, str], Any], of)(entry, f"{what}.{key[:40]}")
    return value


def check_list(value: object, what: str) -> list[Any]:
    """Return a list; ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"{what} is {shown(value)}")
    return value


def shown(value: object) -> str:
    """A value of unknown origin in a message: one line, not long."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def _whole(text: str) -> int:
    value = int(text) if len(text) <= LONGEST_NUMBER else LARGEST_WHOLE
    if not -LARGEST_WHOLE <= value < LARGEST_WHOLE:
        raise ValueError(f"the number {text[:20]}... is too large")
    return value


def _real(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_NUMBER else float("inf")
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]}... is too large")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_depth(data: bytes, value: object) -> None:
    """Raise ValueError where tables lie too deep: what is written on would not survive the next step."""
    brackets = data.translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST_JSON):
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not fewer:
            return
        if fewer == brackets:
            break
        brackets = fewer
    # Brackets within texts need not match: only now is each value looked at.
    level = [value]
    for _ in range(DEEPEST_JSON):
        tables = [entry for entry in level if isinstance(entry, dict | list)]
        level = [inner for table in tables for inner in (table.values() if isinstance(table, dict) else table)]
        if not level:
            return
    raise ValueError(f"tables in tables, more than {DEEPEST_JSON} deep")
