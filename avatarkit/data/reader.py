"""Reads a shard without HDF5's library once it is open: every byte is taken by `os.pread` at a known place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipInfo
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.pictures import decode_image, decode_matte
from avatarkit.data.writer import FORMAT, STREAMS, VERSION
from avatarkit.errors import InputError

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class _Stream:
    """Where a shard's encoded pictures lie: absolute places in the file, and lengths in bytes."""

    start: NDArray[np.int64]
    length: NDArray[np.int32]


class _Descriptor:
    """An open file; it closes when nobody reads from it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        number = getattr(self, "number", None)
        if number is not None:
            os.close(number)


class ShardReader:
    """A shard's clips, annotations and frames; any thread and any forked or spawned process may use it at any time.

    There is no lock and no state that reading changes: `os.pread` has no file position.

    Raises:
        InputError: missing, cut off, damaged, not a shard, or of an unknown version.
    """

    clips: list[ClipInfo]
    attributes: dict[str, str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: _Descriptor | None = None
        try:
            about = path.stat()
            self._identity = (about.st_ino, about.st_size, about.st_mtime_ns)
            self._index()
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except OSError as error:
            # h5py reports what is no HDF5 file, and one that is cut off, as an OSError without a number.
            what = error.strerror or "is not a shard, or is cut off; run `avatarkit data verify` on its dataset"
            raise InputError(f"{path}: {what}") from error
        except (KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: is damaged: {_first_line(error)}") from error

    def __reduce__(self) -> tuple[type[ShardReader], tuple[Path]]:
        return ShardReader, (self.path,)

    def __len__(self) -> int:
        return self._frames

    @property
    def frames(self) -> int:
        """Number of frames of all clips."""
        return self._frames

    def first_frame(self, clip: int | ClipInfo) -> int:
        """Number of a clip's first frame in this shard; the clip by its place in `clips`, or itself."""
        place = clip if isinstance(clip, int) else self.clips.index(clip)
        return int(self._first[place])

    def image_bytes(self, frame: int) -> bytes:
        """The encoded picture of a frame."""
        return self._stream_bytes("image", frame)

    def matte_bytes(self, frame: int) -> bytes:
        """The encoded matte of a frame, PNG."""
        return self._stream_bytes("matte", frame)

    def image(self, frame: int, *, reduce: int = 1) -> NDArray[np.uint8]:
        """The picture of a frame, RGB (H, W, 3); `reduce` as `pictures.decode_image`."""
        return decode_image(self.image_bytes(frame), f"{self.path}: image {frame}", reduce=reduce)

    def matte(self, frame: int) -> NDArray[np.uint8]:
        """The matte of a frame, (H, W)."""
        return decode_matte(self.matte_bytes(frame), f"{self.path}: matte {frame}")

    def column(self, name: str) -> NDArray[Any]:
        """A whole column, one row per frame; raises KeyError for a name that FRAME_COLUMNS does not have."""
        return self._rows(name, 0, self._frames)

    def row(self, name: str, frame: int) -> NDArray[Any]:
        """A frame's row of a column, of the column's shape."""
        self._check_frame(frame)
        result: NDArray[Any] = self._rows(name, frame, frame + 1)[0]
        return result

    def clip_column(self, name: str, clip: int) -> NDArray[Any]:
        """The rows of one clip."""
        first = self.first_frame(clip)
        return self._rows(name, first, first + self.clips[clip].frames)

    def clip_frames(self) -> Iterator[tuple[ClipInfo, range]]:
        """Each clip with the numbers of its frames."""
        for info, first in zip(self.clips, self._first.tolist(), strict=True):
            yield info, range(first, first + info.frames)

    @property
    def is_open(self) -> bool:
        """Whether the file is held open; the next read opens it if not."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let the file go until the next read; reads under way in other threads end well."""
        self._descriptor = None

    def _index(self) -> None:
        import h5py

        with h5py.File(self.path, "r", locking=False) as file:
            self.attributes = _attributes(self.path, file.attrs)
            self.clips, self._first, self._frames = _clips(file)
            self._places = {name: self._column_place(file, name) for name in FRAME_COLUMNS}
            self._streams = {stream: self._stream_places(file, stream) for stream in STREAMS}

    def _column_place(self, file: h5py.File, name: str) -> tuple[int, int, np.dtype[Any], tuple[int, ...]]:
        """Where a column lies in the file, bytes of a row, and a row's type and shape."""
        column, data = FRAME_COLUMNS[name], file["columns"][name]
        dtype, size = np.dtype(column.dtype), column.row_bytes
        if data.dtype != dtype or data.shape != (self._frames, *column.shape):
            raise ValueError(f"column {name} is {data.dtype} {data.shape}")
        return self._place(data, self._frames * size), size, dtype, column.shape

    def _stream_places(self, file: h5py.File, stream: str) -> _Stream:
        group = file[stream]
        offset, length = np.asarray(group["offset"], np.int64), np.asarray(group["length"], np.int32)
        size = int(group["bytes"].shape[0])
        if not len(offset) == len(length) == self._frames:
            raise ValueError(f"{stream}: {len(offset)} offsets and {len(length)} lengths of {self._frames} frames")
        if np.any(offset < 0) or np.any(length <= 0) or np.any(offset + length > size):
            raise ValueError(f"{stream}: a frame lies outside its bytes")
        return _Stream(offset + self._place(group["bytes"], size), length)

    def _place(self, data: h5py.Dataset, size: int) -> int:
        if size == 0:
            return 0
        start = data.id.get_offset()
        if start is None or data.chunks is not None:
            raise ValueError(f"{data.name} is not contiguous")
        return int(start)

    def _stream_bytes(self, stream: str, frame: int) -> bytes:
        self._check_frame(frame)
        places = self._streams[stream]
        return self._read(int(places.start[frame]), int(places.length[frame]))

    def _rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        place, row_bytes, dtype, shape = self._places[name]
        count = stop - start
        data = self._read(place + start * row_bytes, count * row_bytes)
        return np.frombuffer(data, dtype).reshape(count, *shape)

    def _check_frame(self, frame: int) -> None:
        if not 0 <= frame < self._frames:
            raise IndexError(f"frame {frame} of {self._frames} in {self.path}")

    def _read(self, start: int, size: int) -> bytes:
        descriptor = self._descriptor or self._open()
        pieces, done = [], 0
        while done < size:
            piece = os.pread(descriptor.number, size - done, start + done)
            if not piece:
                raise InputError(f"{self.path}: has become shorter while in use; open the dataset again")
            pieces.append(piece)
            done += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _open(self) -> _Descriptor:
        try:
            descriptor = _Descriptor(self.path)
            about = os.fstat(descriptor.number)
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror or error}") from error
        if (about.st_ino, about.st_size, about.st_mtime_ns) != self._identity:
            raise InputError(f"{self.path}: has changed while in use; open the dataset again")
        self._descriptor = descriptor
        return descriptor


def _attributes(path: Path, stored: Mapping[str, Any]) -> dict[str, str]:
    found = _text(stored.get("format", b""))
    if found != FORMAT:
        raise InputError(f"{path}: is not a shard of avatarkit")
    version = int(stored["version"])
    if version != VERSION:
        raise InputError(
            f"{path}: is a shard of version {version}, this program reads {VERSION};"
            " use the program that wrote it, or prepare the data again"
        )
    return {name: _text(value) for name, value in stored.items() if name != "version"}


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _clips(file: h5py.File) -> tuple[list[ClipInfo], NDArray[np.int64], int]:
    group = file["clips"]
    clips = [ClipInfo.from_json(json.loads(text)) for text in np.asarray(group["info"]).tolist()]
    first, counts = np.asarray(group["first_frame"], np.int64), np.asarray(group["frames"], np.int64)
    agree = len(clips) == len(first) == len(counts) and all(
        info.frames == count > 0 for info, count in zip(clips, counts.tolist(), strict=True)
    )
    if not agree or not np.array_equal(first, np.cumsum(counts) - counts):
        raise ValueError("its clip table does not add up")
    return clips, first, int(counts.sum())


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.splitlines() or [type(error).__name__])[0]
