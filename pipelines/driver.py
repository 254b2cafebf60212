"""From a driver (video, animation, photo or motion file) to its motion."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.sequence import track
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import FaceChoice
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image
from avatarkit.media.probe import MediaInfo, probe
from avatarkit.motion.columns import Motion
from avatarkit.motion.extract import DriverInfo, extract
from avatarkit.motion.file import is_motion_file, read_motion
from avatarkit.runtime import Progress

TRACKING_SIDE_PX = 1920
"""Larger drivers are reduced to this for tracking; the mesh network sees 192 px anyway."""
PHOTO_RATE = Fraction(25)


@dataclass(frozen=True)
class Driver:
    """A driver's motion and where it came from.

    kind: "video", "image" or "motion". info: of the media file, None for a motion file. warnings: one line each.
    """

    path: Path
    kind: str
    motion: Motion
    info: MediaInfo | None
    warnings: list[str] = field(default_factory=list)

    def frames(self, max_side: int) -> Iterator[NDArray[np.uint8]]:
        """The driver's own pictures, for showing beside the result."""
        if self.kind == "image":
            yield read_image(self.path)
        elif self.info is not None:
            with FrameReader(self.path, max_side=max_side, info=self.info) as reader:
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


def load_driver(path: Path, tracker: FaceTracker, face: FaceChoice, on_missing: str, progress: Progress) -> Driver:
    """Read a motion file, or track a video or photo.

    Raises:
        InputError: the file cannot be used, or shows no face.
    """
    kind, info = driver_kind(path)
    if kind == "motion" or info is None:
        return Driver(path, "motion", read_motion(path), None)
    if kind == "image":
        picture = read_image(path)
        progress.stage("track", 1, "photos")
        about = DriverInfo(path.name, PHOTO_RATE, picture.shape[1], picture.shape[0], tracker.name)
        motion = extract(track([picture], tracker, face, str(path)), about, on_missing)
        progress.advance()
        return Driver(path, kind, motion, info)
    with FrameReader(path, max_side=TRACKING_SIDE_PX, info=info) as reader:
        progress.stage("track", reader.frames_expected)
        about = DriverInfo(path.name, reader.rate, reader.width, reader.height, tracker.name)
        motion = extract(track(_counted(reader, progress), tracker, face, str(path)), about, on_missing)
        warnings = [text for text in (reader.warning or info.warning,) if text]
    for text in warnings:
        progress.notice(text)
    return Driver(path, kind, motion, info, warnings)


def _counted(reader: FrameReader, progress: Progress) -> Iterator[NDArray[np.uint8]]:
    for frame in reader:
        yield frame
        progress.advance()
