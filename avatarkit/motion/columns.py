"""The motion of one driver as typed columns, one row per frame."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

TRACKED, INTERPOLATED, HELD, AT_SOURCE = 0, 1, 2, 3
STATE_NAMES = ("tracked", "interpolated", "held", "source")

CHUNK_ROWS = 512
"""Rows worked on at once: whatever the driver's length, this many frames of landmarks are in memory."""


@dataclass(frozen=True)
class Motion:
    """What a driver's head does, F frames in S shots.

    rate: frames per second, exact. width, height: of the driver's frames in pixels.
    rotation: (F, 3, 3). translation: (F, 3) pixels of the driver. scale: (F,) pixels per head unit.
    expression: (F, 478, 3) offsets from `identity` in head coordinates (see `head.coordinates`).
    mouth_opening: (F,), eye_opening: (F, 2), gaze: (F, 2, 2), see `head.coordinates.FaceState`; the eye openings
    are measured in head coordinates, so that a nod does not count as a blink.
    presence: (F,) 1 where the motion applies, falling to 0 where the source's own pose is shown instead.
    state: (F,) how each row was obtained, a number into `STATE_NAMES`. shot: (F,) number of the shot.
    identity: (S, 478, 3) the driver's mean face of each shot in head coordinates.
    """

    rate: Fraction
    width: int
    height: int
    tracker: str
    driver: str
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    scale: NDArray[np.float32]
    expression: NDArray[np.float32]
    mouth_opening: NDArray[np.float32]
    eye_opening: NDArray[np.float32]
    gaze: NDArray[np.float32]
    presence: NDArray[np.float32]
    state: NDArray[np.uint8]
    shot: NDArray[np.int32]
    identity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def missing(self) -> int:
        """Frames in which the driver's face was not seen."""
        return int(np.count_nonzero(self.state))

    @property
    def cuts(self) -> list[int]:
        """Numbers of the frames with which a new shot begins."""
        return [int(i) + 1 for i in np.flatnonzero(np.diff(self.shot))]

    def part(self, first: int, stop: int) -> "Motion":
        """The frames from `first` up to `stop` as a motion of their own; at least one frame."""
        rows = {name: getattr(self, name)[first:stop] for name in COLUMNS if name not in ("shot", "identity")}
        shown, shot = np.unique(self.shot[first:stop], return_inverse=True)
        return replace(self, **rows, shot=shot.astype(np.int32), identity=self.identity[shown])

    def shot_ranges(self) -> list[tuple[int, int]]:
        """First frame and the frame after the last one, of every shot."""
        edges = [0, *self.cuts, len(self)]
        return list(pairwise(edges))


COLUMNS = (
    "rotation", "translation", "scale", "expression", "mouth_opening", "eye_opening", "gaze",
    "presence", "state", "shot", "identity",
)  # fmt: skip


class Spool:
    """Rows of one shape appended to an unnamed temporary file and read back as a memory map.

    Keeps a driver's landmarks out of memory; the file vanishes with the object, even after a crash.
    """

    def __init__(self, row_shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> None:
        self._shape, self._dtype = row_shape, np.dtype(dtype)
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="avatarkit-")  # noqa: SIM115  closed in __exit__
        self._rows = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: NDArray[np.generic]) -> None:
        """Add rows (..., *row_shape)."""
        block = np.ascontiguousarray(rows, self._dtype).reshape(-1, *self._shape)
        self._file.write(block.tobytes())
        self._rows += len(block)

    def array(self) -> NDArray[np.float32]:
        """All rows so far, (rows, *row_shape), mapped from the file; empty when there are none."""
        self._file.flush()
        if not self._rows:
            return np.zeros((0, *self._shape), np.float32)
        return np.memmap(self._file, dtype=self._dtype, mode="r", shape=(self._rows, *self._shape))


def chunks(start: int, stop: int, size: int = CHUNK_ROWS) -> Iterator[tuple[int, int]]:
    """Ranges of at most `size` that cover start..stop in order."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)
