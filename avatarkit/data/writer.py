"""Writes a shard: one HDF5 file whose bytes depend on its clips and attributes alone. docs/shard-format.md says how."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, ClipInfo
from avatarkit.data.columns import FRAME_COLUMNS, check_columns
from avatarkit.data.pictures import picture_size
from avatarkit.errors import InputError
from avatarkit.reading import check_id

if TYPE_CHECKING:
    import h5py

FORMAT, VERSION = "avatarkit-shard", 1
STREAMS = ("image", "matte")
_PIECE = 1 << 22


class ShardWriter:
    """Takes clips one by one and writes the shard when closed; memory does not grow with the clips' frames.

    Frames and annotations wait in nameless files beside `path`, which vanish with the process: HDF5 must know the size
    of a contiguous dataset beforehand. Use it in a `with` statement, which leaves no file when its body fails. `path`
    should be a temporary name that the caller renames.

    Args:
        path: of the new file; one that exists is replaced.
        attributes: written beside format and version: kind, size, hashes, tool versions.
    """

    def __init__(self, path: Path, attributes: Mapping[str, str]) -> None:
        self._path = path
        self._attributes = dict(attributes)
        self._clips: list[ClipInfo] = []
        self._ids: set[str] = set()
        self._lengths: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        self._spools: dict[str, IO[bytes]] = {}
        self._closed = False

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def clips(self) -> list[ClipInfo]:
        """The clips so far."""
        return list(self._clips)

    def append(self, clip: ClipData) -> None:
        """Add a clip; nothing of it is kept in memory but its info.

        Raises:
            InputError: it has no frames, counts that do not agree, a column that is missing or not finite, bytes that
                are no picture, an id that is taken or unusable. The shard is then as before.
        """
        info = clip.info
        check_id(info.clip_id)
        where = f"clip {info.clip_id}"
        if info.clip_id in self._ids:
            raise InputError(f"{where}: is in {self._path.name} already")
        if not info.frames == len(clip.images) == len(clip.mattes) or info.frames < 1:
            raise InputError(
                f"{where}: says {info.frames} frames, has {len(clip.images)} images and {len(clip.mattes)} mattes"
            )
        _check_pictures("image", clip.images, where)
        _check_pictures("matte", clip.mattes, where)
        columns = check_columns(clip.columns, info.frames, where)
        for stream, frames in (("image", clip.images), ("matte", clip.mattes)):
            self._spool(stream).writelines(frames)
            self._lengths[stream] += [len(frame) for frame in frames]
        for name, values in columns.items():
            self._spool(name).write(values.tobytes())
        self._ids.add(info.clip_id)
        self._clips.append(info)

    def close(self) -> None:
        """Write the file; the second time nothing happens. Raises OSError where the disk is full."""
        if self._closed:
            return
        import h5py

        try:
            self._path.unlink(missing_ok=True)
            with self._path.open("x+b", buffering=0) as handle:
                target = _Target(handle)
                # One fixed version of HDF5's structures, no times, one order: the same clips give the same bytes.
                with h5py.File(target, "w", libver=("v108", "v108"), track_order=False) as file:
                    set_text(file.attrs, "format", FORMAT)
                    file.attrs["version"] = np.int32(VERSION)
                    for name in sorted(self._attributes):
                        set_text(file.attrs, name, self._attributes[name])
                    self._write_clips(file)
                    self._write_columns(file)
                    self._write_streams(file)
                target.check()
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            self._drop()

    def abort(self) -> None:
        """Forget everything; no file is written."""
        self._drop()

    def _write_clips(self, file: h5py.File) -> None:
        texts = [_compact(info.to_json()) for info in self._clips]
        counts = np.array([info.frames for info in self._clips], np.int64)
        width = max((len(text) for text in texts), default=1)
        group = file.create_group("clips")
        _store(group, "info", np.array(texts, f"S{width}"), "json")
        _store(group, "first_frame", np.cumsum(counts) - counts, "frames of this shard")
        _store(group, "frames", counts, "frames")

    def _write_columns(self, file: h5py.File) -> None:
        group = file.create_group("columns")
        for name, column in FRAME_COLUMNS.items():
            data = group.create_dataset(name, (self._frames, *column.shape), np.dtype(column.dtype), track_times=False)
            set_text(data.attrs, "unit", column.unit)
            self._copy(name, data, column.dtype, column.shape)

    def _write_streams(self, file: h5py.File) -> None:
        for stream in STREAMS:
            lengths = np.array(self._lengths[stream], np.int64)
            group = file.create_group(stream)
            _store(group, "offset", np.cumsum(lengths) - lengths, "bytes from the start of `bytes`")
            _store(group, "length", lengths.astype(np.int32), "bytes")
            data = group.create_dataset("bytes", (int(lengths.sum()),), np.uint8, track_times=False)
            self._copy(stream, data, "u1", ())

    def _copy(self, name: str, data: h5py.Dataset, dtype: str, row_shape: tuple[int, ...]) -> None:
        if name not in self._spools:
            return
        spool = self._spools[name]
        spool.seek(0)
        row_bytes = int(np.dtype(dtype).itemsize * np.prod(row_shape, dtype=np.int64))
        done = 0
        while piece := spool.read(max(_PIECE // row_bytes, 1) * row_bytes):
            rows = np.frombuffer(piece, dtype).reshape(-1, *row_shape)
            data[done : done + len(rows)] = rows
            done += len(rows)

    @property
    def _frames(self) -> int:
        return len(self._lengths["image"])

    def _spool(self, name: str) -> IO[bytes]:
        if self._closed:
            raise ValueError(f"{self._path.name} is closed")
        if name not in self._spools:
            self._spools[name] = tempfile.TemporaryFile(dir=self._path.parent, prefix=".spool-")  # noqa: SIM115
        return self._spools[name]

    def _drop(self) -> None:
        self._closed = True
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()


class _Target:
    """The file below HDF5, which must not meet a full disk: it would fail again while it closes, and may crash.

    The first error is kept, and what comes after it goes nowhere.
    """

    def __init__(self, handle: io.FileIO) -> None:
        self._handle = handle
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise what went wrong while HDF5 wrote."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of it, or nothing any more."""
        rest = memoryview(data)
        try:
            while self._error is None and rest:
                rest = rest[self._handle.write(rest) :]
        except OSError as error:
            self._error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the file's length."""
        try:
            return self._handle.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        return self._handle.readinto(buffer) or 0

    def read(self, size: int = -1) -> bytes:
        """Read; by having it h5py knows a file."""
        return self._handle.read(size) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        """The present place."""
        return self._handle.tell()

    def flush(self) -> None:
        """Nothing waits here."""


def set_text(attributes: Any, name: str, text: str) -> None:
    """Write an attribute as text of fixed length; HDF5's texts of any length go to a heap of their own."""
    import h5py

    encoded = text.encode("utf-8")
    width = max(len(encoded), 1)
    attributes.create(name, np.array(encoded, f"S{width}"), dtype=h5py.string_dtype("utf-8", width))


def _store(group: h5py.Group, name: str, values: NDArray[Any], unit: str) -> None:
    data = group.create_dataset(name, data=values, track_times=False)
    set_text(data.attrs, "unit", unit)


def _check_pictures(stream: str, frames: Sequence[bytes], where: str) -> None:
    for index, frame in enumerate(frames):
        result = picture_size(frame)
        if result is None or (result[0] == "PNG") != (stream == "matte"):
            raise InputError(f"{where}: {stream} {index} is not {'PNG' if stream == 'matte' else 'JPEG or WebP'}")


def _compact(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii")
