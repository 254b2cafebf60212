"""The motion file: safetensors with a version, no pixels, no pickle. docs/motion-format.md describes it."""

import json
import math
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.types import LANDMARKS
from avatarkit.motion.columns import COLUMNS, STATE_NAMES, Motion, chunks
from avatarkit.reading import check_list, check_text, check_whole, open_file, parse_json

FORMAT, VERSION = "avatarkit-motion", 1
SUFFIX = ".motion"
SLOWEST, FASTEST = Fraction(1, 100), Fraction(1000)
"""Frames a second."""
LARGEST_SIDE = 1 << 16
_RATE = re.compile(r"[0-9]{1,9}(/[1-9][0-9]{0,8})?")
_MOST = {
    "rotation": 1.01, "expression": 100.0, "identity": 100.0, "mouth_opening": 100.0, "eye_opening": 100.0,
    "gaze": 100.0, "presence": 1.001,
}  # fmt: skip
"""Largest absolute value of each column, in its unit; heads are 2 units wide."""

_ROW_SHAPES: dict[str, tuple[int, ...]] = {
    "rotation": (3, 3), "translation": (3,), "scale": (), "expression": (LANDMARKS, 3), "mouth_opening": (),
    "eye_opening": (2,), "gaze": (2, 2), "presence": (), "state": (), "shot": (), "identity": (LANDMARKS, 3),
}  # fmt: skip
_DTYPES = {"state": "<u1", "shot": "<i4"}
_CODES = {"float32": "F32", "uint8": "U8", "int32": "I32"}
# The columns as they lie in the file: the single bytes last, so that all others stay aligned.
_ORDER = (*(name for name in COLUMNS if name != "state"), "state")


def write_motion(path: Path, motion: Motion) -> None:
    """Write a motion file, piece by piece; the same motion always gives the same bytes.

    The caller gives a temporary name and renames it.
    """
    header: dict[str, Any] = {"__metadata__": _metadata(motion)}
    end = 0
    for name in _ORDER:
        column, start = getattr(motion, name), end
        end += math.prod(column.shape) * _dtype(name).itemsize
        code = _CODES[_dtype(name).name]
        header[name] = {"dtype": code, "shape": list(column.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in _ORDER:
            column = getattr(motion, name)
            for start, stop in chunks(0, len(column)):
                file.write(np.ascontiguousarray(column[start:stop], _dtype(name)).tobytes())


def _metadata(motion: Motion) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "rate": f"{motion.rate.numerator}/{motion.rate.denominator}",
        "width": str(motion.width),
        "height": str(motion.height),
        "tracker": motion.tracker,
        "driver": motion.driver,
    }


def is_motion_file(path: Path) -> bool:
    """Whether a file is meant as a motion file: by its suffix, or by a safetensors header of ours."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        with open_file(path, links=True) as file:
            return _about(_header(file, path)).get("format") == FORMAT
    except (OSError, InputError):
        return False


def read_motion(path: Path) -> Motion:
    """Read a motion file; the expressions stay on disk and are mapped.

    Raises:
        InputError: missing, damaged, not a motion file, or of an unknown version.
    """
    try:
        with open_file(path, links=True) as file:
            motion = _read(file, path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    _check(path, motion)
    return motion


def _read(file: BinaryIO, path: Path) -> Motion:
    header = _header(file, path)
    about = _about(header)
    if about.get("format") != FORMAT:
        raise InputError(f"{path}: is not a motion file; make one with avatarkit motion extract")
    if about.get("version") != str(VERSION):
        raise InputError(
            f"{path}: is a motion file of version {str(about.get('version'))[:40]}, this program reads {VERSION};"
            " extract it again, or use the program that wrote it"
        )
    try:
        columns = {name: _column(file, header, name) for name in COLUMNS}
        if not _RATE.fullmatch(check_text(about["rate"], "rate")):
            raise ValueError(f"rate is {about['rate'][:40]!r}")
        width, height = (_side(about[name], name) for name in ("width", "height"))
        tracker, driver = (check_text(about.get(name, "unknown"), name, 1000) for name in ("tracker", "driver"))
        rate = Fraction(about["rate"])
    except (KeyError, ValueError, ArithmeticError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    return Motion(rate=rate, width=width, height=height, tracker=tracker, driver=driver, **columns)


def _header(file: BinaryIO, path: Path) -> dict[str, Any]:
    """The json header of a safetensors file; `__start__` is added: where the data begins, in bytes."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length > min(size - 8, 1 << 24):
        raise InputError(f"{path}: is not a motion file, or is cut off")
    try:
        header = parse_json(file.read(length))
    except ValueError as error:
        raise InputError(f"{path}: is not a motion file") from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: is not a motion file")
    header["__start__"] = 8 + length
    return header


def _side(text: object, name: str) -> int:
    value = check_text(text, name)
    return check_whole(int(value) if value.isdecimal() and len(value) < 9 else -1, name, 1, LARGEST_SIDE)


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(_DTYPES.get(name, "<f4"))


def _about(header: dict[str, Any]) -> dict[str, Any]:
    about = header.get("__metadata__")
    return about if isinstance(about, dict) else {}


def _column(file: BinaryIO, header: dict[str, Any], name: str) -> NDArray[Any]:
    dtype = _dtype(name)
    entry = header[name]
    shape = tuple(check_whole(rows, name) for rows in check_list(entry["shape"], name))
    start, stop = (check_whole(offset, name) for offset in check_list(entry["data_offsets"], name))
    if entry["dtype"] != _CODES[dtype.name] or shape[1:] != _ROW_SHAPES[name] or not shape:
        raise ValueError(f"column {name} is {entry['dtype']} {shape}")
    whole = stop - start == math.prod(shape) * dtype.itemsize
    if not whole or start < 0 or header["__start__"] + stop > os.fstat(file.fileno()).st_size:
        raise ValueError(f"column {name} is cut off")
    mapped = np.memmap(file, dtype=dtype, mode="r", offset=header["__start__"] + start, shape=shape)
    return mapped if name == "expression" else np.array(mapped)


def _check(path: Path, motion: Motion) -> None:
    frames = len(motion)
    lengths = {name: len(getattr(motion, name)) for name in COLUMNS if name != "identity"}
    if frames == 0 or any(length != frames for length in lengths.values()):
        raise _damaged(path, "its columns have different lengths, or none")
    steps = np.diff(motion.shot.astype(np.int64))
    in_order = motion.shot[0] == 0 and motion.shot[-1] == len(motion.identity) - 1
    if not in_order or np.any((steps < 0) | (steps > 1)):
        raise _damaged(path, "its shots are not numbered in order")
    numbers = [getattr(motion, name) for name in COLUMNS if name not in ("expression", "state", "shot")]
    finite = all(np.isfinite(column).all() for column in numbers) and all(
        np.isfinite(motion.expression[start:stop]).all() for start, stop in chunks(0, frames)
    )
    known = int(motion.state.max()) < len(STATE_NAMES)
    possible = SLOWEST <= motion.rate <= FASTEST and bool((motion.scale > 0).all())
    # What no face does, however the camera moves: it would only cost memory and time to draw.
    reach = 100.0 * max(motion.width, motion.height)
    modest = all(np.abs(getattr(motion, name)).max() <= most for name, most in _MOST.items()) and bool(
        (np.abs(motion.translation).max() <= reach) and (motion.scale.max() <= reach)
    )
    if not (finite and known and possible and modest):
        raise _damaged(path, "it holds values that cannot be")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: is damaged: {what}; extract the motion again")
