"""Reads a shard without HDF5's library once it is open: every byte is taken by `os.pread` at a known place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipInfo
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.pictures import decode_image, decode_matte
from avatarkit.data.tables import MOST_CLIPS, Tables, text_attributes
from avatarkit.data.writer import FORMAT, STREAMS, VERSION
from avatarkit.errors import InputError
from avatarkit.reading import open_file, parse_json

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
        with open_file(path) as file:
            self.number = os.dup(file.fileno())

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
            with open_file(path) as handle:
                about = os.fstat(handle.fileno())
                self._identity = (about.st_ino, about.st_size, about.st_mtime_ns)
                self._index(handle)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except OSError as error:
            # h5py reports what is no HDF5 file, and one that is cut off, as an OSError without a number.
            what = error.strerror or "is not a shard, or is cut off; run `avatarkit data verify` on its dataset"
            raise InputError(f"{path}: {what}") from error
        except (KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
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
        return decode_image(self.image_bytes(frame), f"{self.path}: image {frame}", reduce=reduce, side=self.side)

    def matte(self, frame: int) -> NDArray[np.uint8]:
        """The matte of a frame, (H, W)."""
        return decode_matte(self.matte_bytes(frame), f"{self.path}: matte {frame}", side=self.side)

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

    def _index(self, handle: BinaryIO) -> None:
        import h5py

        with h5py.File(handle, "r", locking=False) as file:
            self.attributes = _attributes(self.path, file)
            side = self.attributes.get("size", "")
            self.side = int(side) if side.isdecimal() and len(side) < 6 else None
            tables = Tables(file, handle)
            self.clips, self._first, self._frames = _clips(tables)
            self._places = {}
            for name, column in FRAME_COLUMNS.items():
                dtype = np.dtype(column.dtype)
                place = tables.place(f"columns/{name}", dtype, (self._frames, *column.shape))
                self._places[name] = (place, column.row_bytes, dtype, column.shape)
            self._streams = {stream: self._stream_places(tables, stream) for stream in STREAMS}

    def _stream_places(self, tables: Tables, stream: str) -> _Stream:
        offset = tables.read(f"{stream}/offset", np.dtype(np.int64), (self._frames,))
        length = tables.read(f"{stream}/length", np.dtype(np.int32), (self._frames,))
        size = tables.rows(f"{stream}/bytes")
        start = tables.place(f"{stream}/bytes", np.dtype(np.uint8), (size,))
        if np.any(offset < 0) or np.any(length <= 0) or np.any(offset > size - length):
            raise ValueError(f"{stream}: a frame lies outside its bytes")
        return _Stream(offset + start, length)

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


def shard_attributes(path: Path) -> dict[str, str]:
    """Attributes of a shard alone, which is quick; InputError where it is none."""
    import h5py

    try:
        with open_file(path) as handle, h5py.File(handle, "r", locking=False) as file:
            return _attributes(path, file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: is not a shard, or is damaged: {_first_line(error)}") from error


def _attributes(path: Path, file: h5py.File) -> dict[str, str]:
    stored = text_attributes(file)
    if stored.pop("format", None) != FORMAT:
        raise InputError(f"{path}: is not a shard of avatarkit")
    version = stored.pop("version", None)
    if version != str(VERSION):
        raise InputError(
            f"{path}: is a shard of version {version}, this program reads {VERSION};"
            " use the program that wrote it, or prepare the data again"
        )
    return {"format": FORMAT, **stored}


def _clips(tables: Tables) -> tuple[list[ClipInfo], NDArray[np.int64], int]:
    count = tables.rows("clips/info")
    if count > MOST_CLIPS:
        raise ValueError(f"it has {count} clips")
    texts = tables.read("clips/info", None, (count,)).tolist()
    clips = [ClipInfo.from_json(parse_json(text)) for text in texts]
    first, counts = (tables.read(f"clips/{name}", np.dtype(np.int64), (count,)) for name in ("first_frame", "frames"))
    lengths = counts.tolist()
    # Sums in Python's numbers, which do not overflow.
    starts = [0, *accumulate(lengths)]
    if first.tolist() != starts[:-1] or [info.frames for info in clips] != lengths or min(lengths, default=1) < 1:
        raise ValueError("its clip table does not add up")
    if len({info.clip_id for info in clips}) != count:
        raise ValueError("two of its clips have one id")
    return clips, first, starts[-1]


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.splitlines() or [type(error).__name__])[0]
