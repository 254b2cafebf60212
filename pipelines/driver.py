"""From a driver (video, animation, photo or motion file) to its motion."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError, UsageError
from avatarkit.face.sequence import TrackedFrame, track
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import FaceChoice
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image
from avatarkit.media.probe import MediaInfo, probe
from avatarkit.motion.columns import Motion
from avatarkit.motion.extract import DriverInfo, extract
from avatarkit.motion.file import is_motion_file, read_motion
from avatarkit.motion.squares import Squares
from avatarkit.runtime import Progress, cpu_threads

TRACKING_SIDE_PX = 1920
"""Larger drivers are reduced to this for tracking; the mesh network sees 192 px anyway."""
PHOTO_RATE = Fraction(25)


@dataclass(frozen=True)
class DriverPart:
    """Which part of a driver is used: from `start_s` on, up to `end_s`, in seconds; None is its end."""

    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s < float("inf"):
            raise UsageError(f"--start {self.start_s:g}: use seconds from 0 on")
        if self.end_s is not None and not self.start_s < self.end_s:
            raise UsageError(f"--end {self.end_s:g}: must be later than --start {self.start_s:g}")

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.start_s == 0.0 and self.end_s is None

    def frames(self, rate: Fraction, total: int, path: Path) -> tuple[int, int]:
        """First frame and the frame after the last one, of `total` at that rate.

        Raises:
            UsageError: the driver ends before the part begins.
        """
        first = round(self.start_s * rate)
        if first >= total:
            raise UsageError(f"--start {self.start_s:g}: {path} is only {float(total / rate):.2f} s long")
        stop = total if self.end_s is None else min(total, max(first + 1, round(self.end_s * rate)))
        return first, stop


WHOLE = DriverPart()


@dataclass(frozen=True)
class Driver:
    """A driver's motion and where it came from.

    kind: "video", "image" or "motion". info: of the media file, None for a motion file. warnings: one line each.
    part: first frame of the file that is used and the one after the last, None for all of it. squares: of its heads,
    for engines that look at them.
    """

    path: Path
    kind: str
    motion: Motion
    info: MediaInfo | None
    warnings: list[str] = field(default_factory=list)
    part: tuple[int, int] | None = None
    squares: Squares | None = None

    @property
    def start(self) -> Fraction:
        """Where in the file the motion begins, in seconds."""
        return (self.part[0] if self.part else 0) / self.motion.rate

    def frames(self, max_side: int) -> Iterator[NDArray[np.uint8]]:
        """The driver's own pictures, for showing beside the result."""
        if self.kind == "image":
            yield read_image(self.path)
        elif self.info is not None:
            with FrameReader(self.path, max_side=max_side, info=self.info, part=self.part) as reader:
                yield from reader


def driver_kind(path: Path) -> tuple[str, MediaInfo | None]:
    """What kind of driver a file is, by content: "motion", "image" or "video".

    Raises:
        InputError: missing, empty, a folder, no media, or sound alone.
    """
    if path.is_file() and is_motion_file(path):
        return "motion", None
    info = probe(path)
    if info.kind == "audio":
        raise InputError(f"{path}: holds sound but no pictures; use a video that shows a face")
    return info.kind, info


def load_driver(
    path: Path,
    tracker: FaceTracker,
    face: FaceChoice,
    on_missing: str,
    progress: Progress,
    part: DriverPart = WHOLE,
    squares_px: int | None = None,
    alone: bool = True,
) -> Driver:
    """Read a motion file, or track a video or photo.

    Args:
        alone: whether all processors are there for this driver.
        squares_px: side of the heads' squares that are to be kept; None keeps none.

    Raises:
        InputError: the file cannot be used, or shows no face. UsageError: it ends before the part begins.
    """
    kind, info = driver_kind(path)
    if kind == "motion" or info is None or info.video is None:
        return motion_driver(path, part)
    if kind == "image":
        picture = read_image(path)
        progress.stage("track", 1, "photos")
        about = DriverInfo(path.name, PHOTO_RATE, picture.shape[1], picture.shape[0], tracker.name)
        motion, squares = _extracted([picture], tracker, face, about, on_missing, squares_px, path, _People(), False)
        progress.advance()
        return Driver(path, kind, motion, info, squares=squares)
    bounds = None if part.whole else part.frames(info.video.rate, info.video.frames, path)
    with FrameReader(path, max_side=TRACKING_SIDE_PX, info=info, part=bounds) as reader:
        progress.stage("track", reader.frames_expected)
        about = DriverInfo(path.name, reader.rate, reader.width, reader.height, tracker.name)
        people, ahead = _People(), alone and cpu_threads() > 1
        motion, squares = _extracted(
            _counted(reader, progress), tracker, face, about, on_missing, squares_px, path, people, ahead
        )
        warnings = [*info.notes, *(text for text in (reader.warning or info.warning,) if text)]
        warnings += people.notes(reader.rate, bounds[0] if bounds else 0)
    for text in warnings:
        progress.notice(text)
    return Driver(path, kind, motion, info, warnings, bounds, squares)


def motion_driver(path: Path, part: DriverPart = WHOLE) -> Driver:
    """Read a motion file. Raises as `load_driver`."""
    motion = read_motion(path)
    bounds = None if part.whole else part.frames(motion.rate, len(motion), path)
    return Driver(path, "motion", motion.part(*bounds) if bounds else motion, None, part=bounds)


class _People:
    """Frames that show somebody else, or may do so."""

    def __init__(self) -> None:
        self._strangers: list[int] = []
        self._changed: list[int] = []

    def watched(self, frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
        """The same frames, looked at as they pass."""
        for number, frame in enumerate(frames):
            if frame.stranger:
                self._strangers.append(number)
            if frame.changed:
                self._changed.append(number)
            yield frame

    def notes(self, rate: Fraction, first: int) -> Iterator[str]:
        """A line for each kind; `first` is the number of the first frame in the file."""

        def moment(number: int) -> str:
            return f"{float((first + number) / rate):.2f} s"

        if self._strangers:
            count, when = len(self._strangers), moment(self._strangers[0])
            frames = "1 frame shows" if count == 1 else f"{count} frames show"
            yield f"from {when} on {frames} other people, and not the one followed; such frames count as missing"
        if self._changed:
            when = ", ".join(moment(number) for number in self._changed)
            yield f"after the cuts at {when} the person looks different: see whether it is the same one"


def _counted(reader: FrameReader, progress: Progress) -> Iterator[NDArray[np.uint8]]:
    for frame in reader:
        yield frame
        progress.advance()


def _extracted(
    frames: Iterable[NDArray[np.uint8]],
    tracker: FaceTracker,
    face: FaceChoice,
    about: DriverInfo,
    on_missing: str,
    squares_px: int | None,
    path: Path,
    people: _People,
    ahead: bool,
) -> tuple[Motion, Squares | None]:
    """The motion of tracked frames, and the squares of their heads where they are asked for."""
    # Whoever is ahead must have stopped before the tracker is closed, also where an error leaves frames unread.
    if squares_px is None:
        with closing(track(frames, tracker, face, str(path), ahead=ahead)) as tracked:
            return extract(people.watched(tracked), about, on_missing), None
    squares = Squares(squares_px, about.rate)
    with closing(_paired(frames, tracker, face, path, ahead)) as pairs:
        return extract(people.watched(squares.watch(pairs)), about, on_missing), squares


def _paired(
    frames: Iterable[NDArray[np.uint8]], tracker: FaceTracker, face: FaceChoice, path: Path, ahead: bool
) -> Generator[tuple[NDArray[np.uint8], TrackedFrame], None, None]:
    """Each frame with what was tracked in it."""
    waiting: deque[NDArray[np.uint8]] = deque()

    def passing() -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    with closing(track(passing(), tracker, face, str(path), ahead=ahead)) as following:
        for tracked in following:
            yield waiting.popleft(), tracked
