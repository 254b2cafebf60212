"""A tree as VoxCeleb2 publishes it, made of drivers set into larger frames, with all that is true about every frame.

Over each frame of a made video lies a faint pattern of blocks, drawn from the frame's number: by it a picture cut from
anywhere in the video tells which frame it was cut from, whatever times are stored beside it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from media_set import label

from avatarkit.face.cuts import CutDetector
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, face_from_landmarks
from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

GRID = Fraction(25)
BLOCK_PX, LEVELS = 12, 5
"""Side of the pattern's blocks, and by how many grey levels it lightens or darkens."""
VARIABLE, KEPT = Fraction(60), (0, 1, 4)
"""A variable rate is 60 a second of which in every seven frames these are kept: gaps of 17, 50 and 50 ms."""
RATES: tuple[tuple[str, Fraction], ...] = (
    ("24000/1001", Fraction(24000, 1001)),
    ("25", Fraction(25)),
    ("30000/1001", Fraction(30000, 1001)),
    ("60", Fraction(60)),
    ("variable", VARIABLE),
)
SCALES = (1.0, 0.75, 1.3)
_LONGEST_PX = 1000
_EDGE, _SHORTEST = 4, 30
"""Grid frames left out at either end of a shot; frames that an utterance has at least."""


@dataclass(frozen=True)
class Embedded:
    """How a driver lies in its larger frame.

    size: width and height of the larger frame. at: the driver's left upper pixel in it. shown: its width and height
    there. native: its own.
    """

    driver: str
    video: str
    path: Path
    rate_name: str
    rate: Fraction
    size: tuple[int, int]
    at: tuple[int, int]
    shown: tuple[int, int]
    native: tuple[int, int]

    @property
    def scale(self) -> float:
        """How much larger the driver is shown than it is."""
        return self.shown[0] / self.native[0]

    def placed(self, face: Face) -> Face:
        """A face of the driver's own picture as it lies in the larger frame; pixel centres are integers."""
        factor = np.array([self.shown[0] / self.native[0], self.shown[1] / self.native[1]])
        points = face.landmarks.astype(np.float64)
        points[:, :2] = (points[:, :2] + 0.5) * factor - 0.5 + self.at
        points[:, 2] *= factor[0]
        return face_from_landmarks(points, face.score)


@dataclass
class Truth:
    """What is true about a made video: the face in each of its frames (none where none was found), shots, times.

    starts_s: when each frame comes on screen; frames that a variable rate leaves out are not among them.
    """

    place: Embedded
    numbers: list[int] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    faces: dict[int, Face] = field(default_factory=dict)
    shots: dict[int, int] = field(default_factory=dict)

    def on_screen(self, time_s: float) -> int:
        """The place in `numbers` of the frame that starts nearest to a time."""
        return int(np.argmin(np.abs(np.array(self.starts_s) - time_s)))

    def stop_s(self, index: int) -> float:
        """When the frame at a place in `numbers` leaves the screen."""
        last = index + 1 == len(self.starts_s)
        return self.starts_s[index] + float(1 / self.place.rate) if last else self.starts_s[index + 1]


def plan_embedding(index: int, driver: Path, folder: Path) -> Embedded:
    """A rate and a scale in turn, and a larger frame about 1.8 times as wide and 1.6 times as high."""
    name, rate = RATES[index % len(RATES)]
    with FrameReader(driver) as reader:
        native = reader.width, reader.height
    scale = min(SCALES[index % len(SCALES)], _LONGEST_PX / max(native))
    shown = round(native[0] * scale), round(native[1] * scale)
    size = _even(1.8 * shown[0]), _even(1.6 * shown[1])
    across, down = 0.2 + 0.15 * (index % 5), 0.7 - 0.1 * (index % 4)
    at = round((size[0] - shown[0]) * across), round((size[1] - shown[1]) * down)
    short = label(driver)
    # Eleven characters, as the site's ids have.
    video = f"{short:_<11.11}"
    return Embedded(short, video, folder / f"{video}.mkv", name, rate, size, at, shown, native)


def embed(driver: Path, place: Embedded, tracker: FaceTracker, seconds: float) -> Truth:
    """Write the made video and return the truth about it.

    The face is looked for in the driver's own picture, each frame by itself: not followed, and without the larger
    frame, its scale, its pattern and its coding.
    """
    truth, cuts, shot = Truth(place), CutDetector(), 0
    whole = place.path.with_suffix(".all.mkv") if place.rate_name == "variable" else place.path
    before: Picture | None = None
    face: Face | None = None
    width, height = place.size
    with FrameWriter(whole, width=width, height=height, rate=place.rate, crf=10, preset="ultrafast") as writer:
        for number, picture in enumerate(_frames(driver, place.rate, seconds)):
            shot += cuts.look(picture).cut
            if before is None or not np.array_equal(before, picture):
                result = tracker.detect(picture)
                face = max(result, key=lambda one: one.extent_px) if result else None
            before = picture
            writer.write(_composed(picture, place, number))
            if place.rate_name == "variable" and number % 7 not in KEPT:
                continue
            truth.numbers.append(number)
            truth.starts_s.append(float(number / place.rate))
            truth.shots[number] = shot
            if face is not None:
                truth.faces[number] = place.placed(face)
    if whole != place.path:
        _drop_frames(whole, place.path)
    return truth


def write_metadata(truth: Truth, identity: str, root: Path) -> int:
    """A file for each shot, with the true face boxes at 25 frames a second; returns how many."""
    width, height = truth.place.size
    rows: dict[int, list[str]] = {}
    for frame in range(int(truth.starts_s[-1] * GRID) + 1):
        number = truth.numbers[truth.on_screen(float(frame / GRID))]
        face = truth.faces.get(number)
        if face is not None:
            left, top, right, bottom = face.box
            shares = left / width, top / height, (right - left) / width, (bottom - top) / height
            line = f"{frame:06d} \t" + " \t".join(f"{value:.4f}" for value in shares) + " "
            rows.setdefault(truth.shots[number], []).append(line)
    count = 0
    for lines in rows.values():
        lines = lines[_EDGE:-_EDGE]
        if len(lines) < _SHORTEST:
            continue
        count += 1
        path = root / identity / truth.place.video / f"{count:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {"Identity": identity, "Reference": truth.place.video, "Offset": "0", "FV Conf": "16.0\t(1)",
                 "ASD Conf": "3.0"}  # fmt: skip
        header = [f"{name:<10}: \t{value}" for name, value in names.items()]
        path.write_text("\n".join([*header, "", "FRAME \tX \tY \tW \tH ", *lines, ""]))
    return count


def pattern(number: int, size: tuple[int, int]) -> Floats:
    """The signs that frame `number` was marked with, (height, width), -1 and 1."""
    columns, rows = (-(-side // BLOCK_PX) for side in size)
    signs = np.random.default_rng(number).integers(0, 2, (rows, columns)).astype(np.float32) * 2 - 1
    return np.asarray(np.kron(signs, np.ones((BLOCK_PX, BLOCK_PX), np.float32))[: size[1], : size[0]], np.float32)


def _frames(driver: Path, rate: Fraction, seconds: float) -> Iterator[Picture]:
    with FrameReader(driver, rate=rate) as reader:
        for number, picture in enumerate(reader):
            if number >= seconds * rate:
                return
            yield picture


def _composed(picture: Picture, place: Embedded, number: int) -> Picture:
    width, height = place.size
    across, down = np.linspace(60, 150, width), np.linspace(0, 60, height)
    frame = np.repeat((across[None, :] + down[:, None])[..., None], 3, 2).astype(np.float32)
    frame *= (0.8, 1.0, 1.1)
    method = cv2.INTER_AREA if place.scale < 1 else cv2.INTER_CUBIC
    left, top = place.at
    columns, rows = place.shown
    shown = picture if place.shown == place.native else cv2.resize(picture, place.shown, interpolation=method)
    frame[top : top + rows, left : left + columns] = shown
    frame += LEVELS * pattern(number, place.size)[..., None]
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def _drop_frames(whole: Path, target: Path) -> None:
    """Leave frames out; those that stay keep their times."""
    wanted = "+".join(f"eq(mod(n\\,7)\\,{kept})" for kept in KEPT)
    words = [ffmpeg_binary(), "-loglevel", "error", "-y", "-i", whole, "-vf", f"select={wanted}", "-fps_mode", "vfr",
             "-crf", "10", "-preset", "ultrafast", target]  # fmt: skip
    subprocess.run([str(word) for word in words], check=True, timeout=300)
    whole.unlink()


def _even(value: float) -> int:
    return 2 * round(value / 2)
