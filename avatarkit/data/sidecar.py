"""Side-car columns: what a system computes once for each frame of a dataset, in files beside its shards.

    DATASET/columns/NAME/column.json      what it is, and the hash of the manifest that it was made for
    DATASET/columns/NAME/SHARD.npy        one row per frame of the shard

A column appears when it is complete. Shards are untouched, so that a dataset stays what its manifest says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import replaced, write_json
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.reader import ShardReader
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.reading import read_array, read_json

__all__ = ["SideCar", "write_column"]

FORMAT, VERSION = "avatarkit-column", 1
FOLDER, ABOUT = "columns", "column.json"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Shards(Protocol):
    """What columns stand beside: a `Dataset`."""

    folder: Path
    hash: str

    def shards(self) -> list[str]:
        """Names of all shards."""

    def reader(self, shard: str) -> ShardReader:
        """The reader of one."""


class SideCar:
    """One column of a dataset, open for reading; its files are mapped, not loaded.

    Raises:
        InputError: there is none of this name, it was made for other data, or it is damaged.
    """

    def __init__(self, dataset: Shards, name: str) -> None:
        self._dataset, self.name = dataset, name
        self._folder = _folder(dataset, name)
        try:
            about = read_json(self._folder / ABOUT)
        except FileNotFoundError as error:
            raise InputError(f"{dataset.folder}: has no column {name}; make it first") from error
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise InputError(f"{self._folder / ABOUT}: is not a column that this program reads")
        if about.get("manifest") != dataset.hash:
            raise InputError(f"{self._folder}: was made for other data than {dataset.folder} holds now; make it again")
        self.unit = str(about.get("unit", ""))
        self._rows: dict[str, NDArray[Any]] = {}

    def row(self, shard: str, frame: int) -> NDArray[Any]:
        """A frame's row; the frame's number in its shard. InputError where the file is damaged."""
        rows = self._rows.get(shard)
        if rows is None:
            rows = self._rows[shard] = self._open(shard)
        row: NDArray[Any] = rows[frame]
        return row

    def _open(self, shard: str) -> NDArray[Any]:
        path = self._folder / f"{shard}.npy"
        try:
            rows = read_array(path, mapped=True)
        except (OSError, InputError) as error:
            raise InputError(f"{str(error) or path}; make the column again") from error
        frames = len(self._dataset.reader(shard))
        if rows.ndim < 1 or len(rows) != frames:
            raise InputError(f"{path}: has no row for each of {frames} frames; make the column again")
        return rows


def write_column(dataset: Shards, name: str, unit: str, rows_of: Callable[[ShardReader], NDArray[Any]]) -> Path:
    """Compute a column and write it, in place of an older one; returns its folder.

    Args:
        name: lower case letters, digits and underscores; not that of a stored column.
        unit: of its numbers, and their axes, in words. rows_of: all rows of a shard, (frames, ...), of a plain type.

    Raises:
        UsageError: a name that cannot be used, or not one row for each frame. OutputError: it cannot be written.
    """
    if not _NAME.fullmatch(name) or name in FRAME_COLUMNS:
        raise UsageError(f"column {name!r}: choose another name, of lower case letters, digits and underscores")
    target = _folder(dataset, name)
    try:
        target.parent.mkdir(exist_ok=True)
        with replaced(target, directory=True) as temporary:
            for shard in dataset.shards():
                reader = dataset.reader(shard)
                rows = np.ascontiguousarray(rows_of(reader))
                if rows.shape[:1] != (len(reader),) or rows.dtype.hasobject:
                    raise UsageError(f"column {name}: shard {shard} has {len(reader)} frames, rows are {rows.shape}")
                np.save(temporary / f"{shard}.npy", rows, allow_pickle=False)
            about = {"format": FORMAT, "version": VERSION, "name": name, "unit": unit, "manifest": dataset.hash}
            write_json(temporary / ABOUT, about)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _folder(dataset: Shards, name: str) -> Path:
    return dataset.folder / FOLDER / name
