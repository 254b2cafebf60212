"""The annotations of a frame: one typed column each, with its unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError

LANDMARKS = 478


@dataclass(frozen=True)
class Column:
    """Type ("<f4": little-endian, 4 bytes), shape of a frame's row, its unit, and whether it may be NaN: not known."""

    dtype: str
    shape: tuple[int, ...]
    unit: str
    optional: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(self.dtype[-1]) * math.prod(self.shape)


FRAME_COLUMNS: Mapping[str, Column] = {
    "time_s": Column("<f8", (), "seconds since the start of the original"),
    "landmarks": Column("<f4", (LANDMARKS, 3), "pixels of the stored frame, (x, y, z), z away from the camera"),
    "rotation": Column("<f4", (3, 3), "head coordinates to the picture's"),
    "translation_px": Column("<f4", (3,), "pixels of the stored frame, the head's origin"),
    "scale_px": Column("<f4", (), "pixels of the stored frame per head unit"),
    "mouth_opening": Column("<f4", (), "inner lips' height over width"),
    "eye_opening": Column("<f4", (2,), "lid distance over eye width, right and left eye"),
    "gaze": Column("<f4", (2, 2), "eye widths, right and left eye, (along, across)"),
    "crop_px": Column("<f4", (3,), "pixels of the upright original: left, top, side of the square window"),
    "head_px": Column("<f4", (), "pixels of the original: side of the head"),
    "score": Column("<f4", (), "the scorer's unit; NaN where the frame was not scored", optional=True),
}


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The rows as one array per column, in the types that shards have."""
    columns: dict[str, NDArray[Any]] = {}
    for name, column in FRAME_COLUMNS.items():
        values = np.array([row[name] for row in rows], column.dtype)
        columns[name] = values.reshape((len(rows), *column.shape))
    return columns


def check_columns(columns: Mapping[str, NDArray[Any]], frames: int, where: str) -> dict[str, NDArray[Any]]:
    """Columns of a clip in the stored order, contiguous and of the stored type.

    Raises:
        InputError: a column is missing, unknown, of another shape, or holds a value that is not finite; the message
            begins with `where`.
    """
    unknown = sorted(set(columns) - set(FRAME_COLUMNS))
    missing = sorted(set(FRAME_COLUMNS) - set(columns))
    if unknown or missing:
        what = f"no column {missing[0]}" if missing else f"unknown column {unknown[0]}"
        raise InputError(f"{where}: {what}; the columns are {', '.join(FRAME_COLUMNS)}")
    result = {}
    for name, column in FRAME_COLUMNS.items():
        values = np.ascontiguousarray(columns[name], column.dtype).reshape(np.shape(columns[name]))
        if values.shape != (frames, *column.shape):
            raise InputError(f"{where}: column {name} is {values.shape}, expected {(frames, *column.shape)}")
        if not column.optional and not np.isfinite(values).all():
            raise InputError(f"{where}: column {name} holds a value that is not finite")
        result[name] = values
    return result
