"""The driver's head in every frame as a square, for networks that look at it: cut while the driver is tracked."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import FRAME_RATE
from avatarkit.data.pictures import decode_image, encode_image
from avatarkit.errors import InputError
from avatarkit.face.sequence import TrackedFrame
from avatarkit.face.types import LANDMARKS, face_from_landmarks
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.crops import Cropped, HeadCropper
from avatarkit.head.square import Square, square_of
from avatarkit.reading import check_whole, open_file, read_json

__all__ = ["Squares"]

_DATA, _ABOUT = "squares.bin", "squares.json"
_NUMBERS = 3 * LANDMARKS + 9 + 3 + 1
_LARGEST = 1e6
"""Pixels, of what is kept of a square."""


class Squares:
    """Cuts and keeps the squares of a driver's frames, JPEGs in an unnamed temporary file, as a dataset keeps them.

    Args:
        size: side of the squares in pixels. rate: of the driver, frames per second; the smoothing of the squares'
            places is that of the 25 frames a second of all datasets. file: with what is kept already.

    The file goes with the object, or with `close()`.
    """

    def __init__(self, size: int, rate: Fraction, file: IO[bytes] | None = None) -> None:
        self.size = size
        self._pace = float(FRAME_RATE / rate)
        self._cropper = HeadCropper(size)
        self._file = file or tempfile.TemporaryFile(prefix="avatarkit-")  # noqa: SIM115  closed by `close`
        self.close = weakref.finalize(self, self._file.close)
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0
        self._waiting: list[int] = []
        self._lock = threading.Lock()

    def watch(self, frames: Iterator[tuple[NDArray[np.uint8], TrackedFrame]]) -> Iterator[TrackedFrame]:
        """Pass tracked frames on, and keep the squares of those that show the face; a cut begins anew."""
        for index, (frame, tracked) in enumerate(frames):
            if tracked.cut:
                self._finish_shot()
            if tracked.landmarks is not None:
                self._waiting.append(index)
                face = face_from_landmarks(tracked.landmarks, 1.0)
                for cropped in self._cropper.push(index * self._pace, frame, face):
                    self._keep(cropped)
            yield tracked
        self._finish_shot()

    def write(self, folder: Path) -> None:
        """Keep all squares in a folder, for `read`."""
        with self._lock, (folder / _DATA).open("xb") as out:
            self._file.seek(0)
            shutil.copyfileobj(self._file, out)
        about = {"size": self.size, "places": [[index, *place] for index, place in self._places.items()]}
        (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, rate: Fraction, size: int) -> Squares:
        """Squares of that size that `write` kept. Raises InputError where they are damaged."""
        about = read_json(folder / _ABOUT)
        path = folder / _DATA
        try:
            rows = [[check_whole(number, "place") for number in row] for row in about["places"]]
            places = {index: (start, length) for index, start, length in rows}
            check_whole(about["size"], "size", size, size)
            squares = cls(size, rate, open_file(path))
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(f"{path}: is not what was written: {error}") from error
        squares._places, end = places, path.stat().st_size
        for index, (start, length) in places.items():
            whole = length > 4 * _NUMBERS and start + length <= end
            if not whole or not np.abs(squares._numbers(index)).max() <= _LARGEST:
                squares.close()
                raise InputError(f"{path}: is damaged")
        return squares

    def __contains__(self, index: int) -> bool:
        return index in self._places

    def __getitem__(self, index: int) -> Square:
        data = self._read(index)
        numbers = np.frombuffer(data, np.float32, _NUMBERS)
        landmarks, rotation, place, scale = np.split(numbers, np.cumsum([3 * LANDMARKS, 9, 3]))
        return Square(
            decode_image(data[numbers.nbytes :], f"frame {index} of the driver", side=self.size),
            landmarks.reshape(-1, 3),
            rotation.reshape(3, 3),
            place,
            float(scale[0]),
            index,
        )

    def pose(self, index: int) -> Similarity:
        """The head in a frame's square: head coordinates to its pixels."""
        numbers = self._numbers(index)[3 * LANDMARKS :].astype(np.float64)
        return Similarity(numbers[:9].reshape(3, 3), numbers[9:12], float(numbers[12]))

    def stored(self, index: int) -> bytes:
        """The JPEG of a frame's square."""
        return self._read(index)[4 * _NUMBERS :]

    def around(self, index: int, bounds: tuple[int, int]) -> tuple[tuple[int, float], ...]:
        """The frames that stand for one: itself, or in a gap those before and after it within `bounds`, with shares.

        Args:
            index: of a frame. bounds: first frame and the one after the last, of its shot.
        """
        if index in self._places:
            return ((index, 1.0),)
        before = next((n for n in range(index - 1, bounds[0] - 1, -1) if n in self._places), None)
        after = next((n for n in range(index + 1, bounds[1]) if n in self._places), None)
        if before is None or after is None:
            only = after if before is None else before
            return () if only is None else ((only, 1.0),)
        share = (index - before) / (after - before)
        return (before, 1.0 - share), (after, share)

    def _numbers(self, index: int) -> NDArray[np.float32]:
        return np.frombuffer(self._read(index, 4 * _NUMBERS), np.float32)

    def _read(self, index: int, most: int | None = None) -> bytes:
        start, length = self._places[index]
        with self._lock:
            self._file.seek(start)
            return self._file.read(length if most is None else most)

    def _finish_shot(self) -> None:
        for cropped in self._cropper.flush():
            self._keep(cropped)
        self._cropper = HeadCropper(self.size)

    def _keep(self, cropped: Cropped) -> None:
        square = square_of(cropped)
        numbers = (square.landmarks, square.rotation, square.translation_px, square.scale_px)
        row = np.concatenate([np.ravel(value) for value in numbers]).astype(np.float32)
        data = row.tobytes() + encode_image(cropped.picture)
        self._file.seek(self._end)
        self._file.write(data)
        self._places[self._waiting.pop(0)] = (self._end, len(data))
        self._end += len(data)
