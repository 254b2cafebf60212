"""What a shard's reader asks of HDF5: attributes and places of tables, of plain kinds only.

HDF5 files can point to other files and name code to unpack them with. Nothing of that is ever followed: each step of a
path must be a hard link, each table contiguous bytes of this file, and the bytes are then read without HDF5's library.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

MOST_ATTRIBUTES = 1000
LONGEST_TEXT = 1 << 16
MOST_BYTES = 64 << 20
"""Of a table that is read as a whole; files with holes can declare any number of rows."""
MOST_CLIPS = 1 << 18


def text_attributes(file: h5py.File) -> dict[str, str]:
    """All attributes of a file, each a text of fixed length or a whole number.

    Raises:
        ValueError: one is of another type, or there are far too many.
    """
    import h5py

    if len(file.attrs) > MOST_ATTRIBUTES:
        raise ValueError(f"it has {len(file.attrs)} attributes")
    result = {}
    for name in file.attrs:
        about = file.attrs.get_id(name)
        kind = about.get_type()
        plain = isinstance(kind, h5py.h5t.TypeIntegerID) or (
            isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
        )
        if not plain or about.shape != () or kind.get_size() > LONGEST_TEXT:
            raise ValueError(f"attribute {name[:40]!r} is no text")
        value = file.attrs[name]
        result[name] = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return result


class Tables:
    """The tables of an open file, by paths such as "clips/info"; ValueError or KeyError for what is none."""

    def __init__(self, file: h5py.File, handle: BinaryIO) -> None:
        self._file, self._handle = file, handle
        self._size = handle.seek(0, 2)

    def rows(self, path: str) -> int:
        """Rows of a table of one axis."""
        shape = self._table(path).shape
        if len(shape) != 1:
            raise ValueError(f"{path} has shape {shape}")
        return int(shape[0])

    def place(self, path: str, dtype: np.dtype[Any] | None, shape: tuple[int, ...]) -> int:
        """Where a table of this type (None: texts) and shape begins in the file, in bytes; all of it lies inside."""
        table = self._table(path)
        kind = table.dtype
        right = kind == dtype if dtype is not None else kind.kind == "S"
        if not right or table.shape != shape:
            raise ValueError(f"{path} is {kind} {table.shape}")
        size = math.prod(shape) * kind.itemsize
        if size == 0:
            return 0
        start = table.id.get_offset()
        if start is None or start + size > self._size:
            raise ValueError(f"{path} lies outside the file")
        return int(start)

    def read(self, path: str, dtype: np.dtype[Any] | None, shape: tuple[int, ...]) -> NDArray[Any]:
        """A whole table, of 64 MB at most."""
        start = self.place(path, dtype, shape)
        kind = dtype or self._table(path).dtype
        if math.prod(shape) * kind.itemsize > MOST_BYTES:
            raise ValueError(f"{path} is {kind} {shape}, which is more than a shard may have")
        self._handle.seek(start)
        data = self._handle.read(math.prod(shape) * kind.itemsize)
        return np.frombuffer(data, kind).reshape(shape)

    def _table(self, path: str) -> h5py.Dataset:
        import h5py

        here: Any = self._file
        for name in path.split("/"):
            if not isinstance(here, h5py.Group) or not isinstance(here.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path} is not a table of its own")
            here = here[name]
        if not isinstance(here, h5py.Dataset) or here.dtype.hasobject:
            raise ValueError(f"{path} is not a table")
        made = here.id.get_create_plist()
        if made.get_layout() != h5py.h5d.CONTIGUOUS or made.get_external_count() or made.get_nfilters():
            raise ValueError(f"{path} is not contiguous")
        return here
