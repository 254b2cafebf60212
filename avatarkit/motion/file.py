"""The motion file: safetensors with a version, no pixels, no pickle. docs/motion-format.md describes it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.types import LANDMARKS
from avatarkit.motion.columns import COLUMNS, Motion

FORMAT, VERSION = "avatarkit-motion", 1
SUFFIX = ".motion"

_ROW_SHAPES: dict[str, tuple[int, ...]] = {
    "rotation": (3, 3), "translation": (3,), "scale": (), "expression": (LANDMARKS, 3), "mouth_opening": (),
    "eye_opening": (2,), "gaze": (2, 2), "presence": (), "state": (), "shot": (), "identity": (LANDMARKS, 3),
}  # fmt: skip
_DTYPES = {"state": np.dtype(np.uint8), "shot": np.dtype(np.int32)}


def write_motion(path: Path, motion: Motion) -> None:
    """Write a motion file. The caller gives a temporary name and renames it."""
    from safetensors.numpy import save_file

    columns = {name: np.ascontiguousarray(getattr(motion, name)) for name in COLUMNS}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "rate": f"{motion.rate.numerator}/{motion.rate.denominator}",
        "width": str(motion.width),
        "height": str(motion.height),
        "tracker": motion.tracker,
        "driver": motion.driver,
    }
    save_file(columns, str(path), metadata)


def is_motion_file(path: Path) -> bool:
    """Whether a file is meant as a motion file: by its suffix, or by a safetensors header of ours."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        return _header(path).get("__metadata__", {}).get("format") == FORMAT
    except (OSError, InputError):
        return False


def read_motion(path: Path) -> Motion:
    """Read a motion file; the expressions stay on disk and are mapped.

    Raises:
        InputError: missing, damaged, not a motion file, or of an unknown version.
    """
    try:
        header = _header(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    about = header.get("__metadata__", {})
    if about.get("format") != FORMAT:
        raise InputError(f"{path}: is not a motion file; make one with avatarkit motion extract")
    if about.get("version") != str(VERSION):
        raise InputError(
            f"{path}: is a motion file of version {about.get('version')}, this program reads version {VERSION};"
            " extract it again, or use the program that wrote it"
        )
    try:
        columns = {name: _column(path, header, name) for name in COLUMNS}
        rate, width, height = Fraction(about["rate"]), int(about["width"]), int(about["height"])
    except (KeyError, ValueError, ZeroDivisionError, TypeError) as error:
        raise InputError(f"{path}: is damaged ({error}); extract the motion again") from error
    motion = Motion(
        rate=rate, width=width, height=height, tracker=about.get("tracker", "unknown"),
        driver=about.get("driver", path.name), **columns,
    )  # fmt: skip
    _check(path, motion)
    return motion


def _header(path: Path) -> dict[str, Any]:
    """The json header of a safetensors file; `__start__` is added: where the data begins, in bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > min(size - 8, 1 << 24):
            raise InputError(f"{path}: is not a motion file, or is cut off")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise InputError(f"{path}: is not a motion file") from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: is not a motion file")
    header["__start__"] = 8 + length
    return header


def _column(path: Path, header: dict[str, Any], name: str) -> NDArray[Any]:
    dtype = _DTYPES.get(name, np.dtype(np.float32))
    expected = {"float32": "F32", "uint8": "U8", "int32": "I32"}[dtype.name]
    entry = header[name]
    shape, (start, stop) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] != expected or shape[1:] != _ROW_SHAPES[name] or not shape:
        raise ValueError(f"column {name} is {entry['dtype']} {shape}")
    if stop - start != int(np.prod(shape)) * dtype.itemsize or header["__start__"] + stop > path.stat().st_size:
        raise ValueError(f"column {name} is cut off")
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=header["__start__"] + start, shape=shape)
    return mapped if name == "expression" else np.array(mapped)


def _check(path: Path, motion: Motion) -> None:
    frames = len(motion)
    lengths = {name: len(getattr(motion, name)) for name in COLUMNS if name != "identity"}
    if frames == 0 or any(length != frames for length in lengths.values()):
        raise InputError(f"{path}: is damaged: its columns have different lengths, or none; extract the motion again")
    shots = motion.shot
    if shots[0] != 0 or np.any((np.diff(shots) < 0) | (np.diff(shots) > 1)) or shots[-1] != len(motion.identity) - 1:
        raise InputError(f"{path}: is damaged: its shots are not numbered in order; extract the motion again")
    numbers = (motion.rotation, motion.translation, motion.scale, motion.identity, motion.gaze, motion.eye_opening)
    if motion.rate <= 0 or motion.width < 1 or motion.height < 1 or not all(np.isfinite(n).all() for n in numbers):
        raise InputError(f"{path}: is damaged: it holds values that cannot be; extract the motion again")
