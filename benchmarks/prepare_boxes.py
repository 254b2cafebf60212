"""Do the boxes of prepare-data lie on the face, and are the stored pictures those of their times?

`python benchmarks/prepare_boxes.py MEDIA [--only d02,d09] [--seconds 6] [--size 256] [--workers 2] [--work DIR]
[--sheet FILE] [--check]`

The drivers of MEDIA/drivers are set into larger frames at known places, at several rates and scales, with metadata as
VoxCeleb2 has it (`boxes_tree.py`); `avatarkit prepare-data voxceleb2` makes clips of them. Which frame of the video a
stored picture shows is read from a pattern in its pixels. The face of that frame is known from the driver's own
picture. With --check the exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import child
import cv2
import numpy as np
from boxes_tree import BLOCK_PX, GRID, Embedded, Floats, Picture, Truth, embed, pattern, plan_embedding, write_metadata
from media_set import BenchmarkError, media_set
from tables import Bar, Row, Verdict, markdown, verdict_table

from avatarkit.data.clip import ClipInfo
from avatarkit.data.dataset import Dataset
from avatarkit.data.reader import ShardReader
from avatarkit.face.open import open_tracker
from avatarkit.face.types import Face, face_from_landmarks
from avatarkit.head.coordinates import head_frame
from avatarkit.head.framing import Window, inside, smoothed, wanted
from avatarkit.media.image import write_image

COLUMNS = ("driver", "rate", "scale", "frame", "stored", "unread", "face_mean", "face_max", "square_mean", "square_max",
           "cut_max", "spill_max", "off_screen_ms", "start_off_ms")  # fmt: skip
NEAR_FRAMES = 8
"""Frames on either side of the one expected that a stored picture is compared with."""
LEAST_LIKENESS, LEAST_LEAD = 0.06, 2.0
"""A frame counts as read if it is so like its pattern, and so many times as much as like any other frame's."""
SHOWN_PER_CLIP, SHOWN_PX = 10, 128


@dataclass(frozen=True)
class Measured:
    """One stored frame beside the truth; lengths as shares of the larger frame's shorter side.

    face: the greatest distance of the four edges of the face's box. square: between the middle of the square that was
    cut and of the one that the true heads ask for, smoothed over time by the same rule. cut: between where the picture
    was cut and where the dataset says. spill: how far the true face reaches out of the square. off_screen_s: between
    its time and the time for which its frame is on screen. start_off_s: between its time and the moment when its frame
    comes on screen.
    """

    time_s: float
    number: int
    face: float
    square: float
    cut: float
    spill: float
    off_screen_s: float
    start_off_s: float


@dataclass(frozen=True)
class Known:
    """A stored frame that was read: its time, its frame's place in `Truth.numbers`, how far from `window` (left, top,
    side) it was cut, and its face as stored and as it truly is; pixels of the larger frame."""

    time_s: float
    index: int
    cut: tuple[float, float]
    window: Floats
    face: Face
    true: Face


def main(argv: Sequence[str] | None = None) -> int:
    """Make the tree, run the command, measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("media", type=Path, help="folder with drivers/")
    add("--only", metavar="D,..", help="drivers whose names begin like this (all)")
    add("--seconds", type=float, default=6.0, help="of each driver (6)")
    add("--size", type=int, default=256, help="side of the stored frames (256)")
    add("--workers", type=int, default=2)
    add("--work", type=Path, metavar="DIR", help="keep tree and dataset here (a temporary folder)")
    add("--sheet", type=Path, metavar="FILE", help="write a sheet of crops with true and stored boxes")
    add("--check", action="store_true", help="exit with 1 when a bar is missed")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="avatarkit-boxes-") as scratch:
            return _run(options, options.work or Path(scratch))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, work: Path) -> int:
    drivers = media_set(options.media, options.only, "p").drivers
    truths = make_tree(drivers, work, options.seconds)
    prepare(work, options)
    dataset = Dataset.open(work / "out")
    rows: list[Row] = []
    strips: list[Picture] = []
    every: list[Measured] = []
    unread = 0
    for truth in truths:
        result, missed = [], 0
        for reader, clip, frames in clips_of(dataset, truth.place.video):
            item, lost, strip = measure_clip(reader, clip, frames, truth, options.size)
            result, missed = result + item, missed + lost
            strips.append(strip)
        rows.append(row_of(truth.place, result, missed))
        every, unread = every + result, unread + missed
    verdicts = verdicts_of(every, unread, sum(row["stored"] == 0 for row in rows))
    print(verdict_table(verdicts), "", markdown(rows, COLUMNS), sep="\n")
    if every:
        print(f"\n{worst(every)}")
    if options.sheet:
        write_image(options.sheet, np.concatenate(strips))
    return int(options.check and any(verdict.word == "FAIL" for verdict in verdicts))


def make_tree(drivers: Sequence[Path], work: Path, seconds: float) -> list[Truth]:
    """Originals and metadata below `work`; one person per driver."""
    originals = work / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    tracker, truths = open_tracker(), []
    for index, driver in enumerate(drivers):
        truth = embed(driver, plan_embedding(index, driver, originals), tracker, seconds)
        if not write_metadata(truth, f"id{index:05d}", work / "txt"):
            raise BenchmarkError(f"{driver}: no shot in its first {seconds:g} s is long enough")
        truths.append(truth)
    tracker.close()
    return truths


def prepare(work: Path, options: argparse.Namespace) -> None:
    """The command as a user gives it."""
    words = ["prepare-data", "voxceleb2", "--metadata", work / "txt", "--originals", work / "originals"]
    words += ["--output", work / "out", "--size", options.size, "--workers", options.workers, "--keep-top", 1]
    words += ["--min-head-px", 0, "--min-effective-px", 0, "--iqa", "sharpness", "--matting", "mediapipe", "--quiet"]
    done = child.run([*child.AVATARKIT, *map(str, words)])
    if done.code:
        raise BenchmarkError(f"prepare-data: {done.message}")


def clips_of(dataset: Dataset, video: str) -> Iterator[tuple[ShardReader, ClipInfo, range]]:
    """The clips of one video with their readers and frames, in the order of utterances."""
    result = [(info.utterance, reader, info, frames) for shard in dataset.shards()
             for reader in [dataset.reader(shard)] for info, frames in reader.clip_frames()
             if info.video == video]  # fmt: skip
    for _, reader, info, frames in sorted(result, key=lambda one: one[0]):
        yield reader, info, frames


def measure_clip(
    reader: ShardReader, clip: ClipInfo, frames: range, truth: Truth, size: int
) -> tuple[list[Measured], int, Picture]:
    """All frames of a clip that can be read, how many cannot, and a strip of pictures with boxes."""
    known: list[Known] = []
    shown: list[Picture] = []
    for frame in frames:
        picture, window = reader.image(frame), reader.row("crop_px", frame).astype(np.float64)
        time_s = float(reader.row("time_s", frame))
        read = read_frame(picture, window, truth, time_s)
        true = None if read is None else truth.faces.get(truth.numbers[read[0]])
        face = in_original(reader.row("landmarks", frame), window, size)
        if read is not None and true is not None:
            known.append(Known(time_s, read[0], read[1], window, face, true))
        if frame in frames[:: max(1, len(frames) // SHOWN_PER_CLIP)][:SHOWN_PER_CLIP]:
            shown.append(drawn(picture, window, true, face))
    numbers = [round(item.time_s * float(GRID)) for item in known]
    heads = [wanted(head_frame(item.true.landmarks)) for item in known]
    squares = (smoothed(numbers, heads, number) for number in numbers)
    result = [compared(item, square, truth) for item, square in zip(known, squares, strict=True)]
    blank = np.zeros((SHOWN_PX, SHOWN_PX * (SHOWN_PER_CLIP - len(shown)), 3), np.uint8)
    return result, len(frames) - len(result), np.concatenate([*shown, blank], 1)


def in_original(landmarks: Floats, window: Floats, size: int) -> Face:
    """A stored frame's face in pixels of the original; pixel centres are integers."""
    points = landmarks.astype(np.float64)
    points[:, :2] = window[:2] + (points[:, :2] + 0.5) * window[2] / size - 0.5
    return face_from_landmarks(points, 1.0)


def read_frame(
    picture: Picture, window: Floats, truth: Truth, time_s: float
) -> tuple[int, tuple[float, float]] | None:
    """Which frame a picture was cut from (its place in `truth.numbers`), and how far from where it is said, in pixels.

    None where no frame's pattern stands out.
    """
    seen = _detail(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), window, picture.shape[0])
    near = truth.on_screen(time_s)
    places = range(max(0, near - NEAR_FRAMES), min(len(truth.numbers), near + NEAR_FRAMES + 1))
    marks = {place: _mark(truth.numbers[place], truth.place.size, window, picture.shape[0]) for place in places}
    likeness = {place: float((seen * mark).sum() / np.linalg.norm(seen) / np.linalg.norm(mark))
                for place, mark in marks.items()}  # fmt: skip
    best, second = sorted(likeness, key=likeness.__getitem__, reverse=True)[:2]
    if likeness[best] < max(LEAST_LIKENESS, LEAST_LEAD * likeness[second]):
        return None
    (x, y), _ = cv2.phaseCorrelate(marks[best], seen, cv2.createHanningWindow(seen.shape[::-1], cv2.CV_32F))
    return best, (x * window[2] / picture.shape[0], y * window[2] / picture.shape[0])


def _mark(number: int, size: tuple[int, int], window: Floats, side: int) -> Floats:
    """A frame's pattern as it looks in a picture cut at `window`."""
    left, top, length = window
    step = length / side
    matrix = np.array([[step, 0.0, left + 0.5 * step - 0.5], [0.0, step, top + 0.5 * step - 0.5]])
    signs = cv2.warpAffine(_pattern(number, size), matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return _detail(np.asarray(signs, np.float32), window, side)


@lru_cache(maxsize=4 * NEAR_FRAMES)
def _pattern(number: int, size: tuple[int, int]) -> Floats:
    return pattern(number, size)


def _detail(picture: Floats, window: Floats, side: int) -> Floats:
    """What is finer than a block or two; strong edges of the picture count no more than the pattern."""
    fine = picture - cv2.GaussianBlur(picture, (0, 0), BLOCK_PX * side / float(window[2]))
    return np.clip(fine, -8, 8)


def compared(one: Known, asked: Window, truth: Truth) -> Measured:
    """A stored frame beside what is true of the frame that it shows; `asked`: the square that it should have."""
    shorter = min(truth.place.size)
    asked = inside(asked, 0, 0, *truth.place.size)
    middle = one.window[:2] + one.window[2] / 2
    left, top, right, bottom = np.array(one.true.box) + 0.5 - np.tile(one.window[:2], 2)
    start_s, stop_s = truth.starts_s[one.index], truth.stop_s(one.index)
    return Measured(
        one.time_s,
        truth.numbers[one.index],
        max(abs(a - b) for a, b in zip(one.face.box, one.true.box, strict=True)) / shorter,
        float(np.hypot(middle[0] - asked.x, middle[1] - asked.y)) / shorter,
        float(np.hypot(*one.cut)) / shorter,
        max(0.0, -left, -top, right - float(one.window[2]), bottom - float(one.window[2])) / shorter,
        max(0.0, start_s - one.time_s, one.time_s - stop_s),
        abs(start_s - one.time_s),
    )


def row_of(place: Embedded, found: Sequence[Measured], unread: int) -> Row:
    """A driver's figures, lengths in per cent."""
    row: dict[str, str | float | int | None] = {
        "driver": place.driver,
        "rate": place.rate_name,
        "scale": round(place.scale, 3),
        "frame": f"{place.size[0]} x {place.size[1]}",
        "stored": len(found) + unread,
        "unread": unread,
    }
    if found:
        row |= {
            "face_mean": 100 * float(np.mean([item.face for item in found])),
            "face_max": 100 * max(item.face for item in found),
            "square_mean": 100 * float(np.mean([item.square for item in found])),
            "square_max": 100 * max(item.square for item in found),
            "cut_max": 100 * max(item.cut for item in found),
            "spill_max": 100 * max(item.spill for item in found),
            "off_screen_ms": 1000 * max(item.off_screen_s for item in found),
            "start_off_ms": 1000 * max(item.start_off_s for item in found),
        }
    return row


def verdicts_of(found: Sequence[Measured], unread: int, empty: int) -> list[Verdict]:
    """The bars."""
    note = f"{len(found)} frames, of the larger frame's shorter side"

    def most(values: Iterator[float], scale: float) -> float | None:
        every = [scale * value for value in values]
        return max(every) if every else None

    return [
        Verdict(Bar("face's box, %", "<=", 2), most((item.face for item in found), 100), f"worst edge of {note}"),
        Verdict(Bar("square's middle, %", "<=", 2), most((item.square for item in found), 100), f"worst of {note}"),
        Verdict(Bar("picture cut elsewhere than said, %", "<=", 2), most((item.cut for item in found), 100), "worst"),
        Verdict(Bar("face out of its square, %", "<=", 0), most((item.spill for item in found), 100), "worst"),
        Verdict(Bar("off screen, ms", "<=", 20), most((item.off_screen_s for item in found), 1000), "worst"),
        Verdict(Bar("frames whose number cannot be read, %", "<=", 1),
                100 * unread / max(1, unread + len(found)), f"{unread} of {unread + len(found)}"),
        Verdict(Bar("drivers without a clip", "<=", 0), float(empty)),
    ]  # fmt: skip


def worst(found: Sequence[Measured]) -> str:
    """The frame that lies farthest off, to be looked at."""
    most = max(found, key=lambda one: one.face)
    return f"Farthest off: frame {most.number}, stored at {most.time_s:.2f} s, {100 * most.face:.2f} %."


def drawn(picture: Picture, window: Floats, known: Face | None, face: Face) -> Picture:
    """A small copy with the true box in green and the stored one in red."""
    small = np.ascontiguousarray(cv2.resize(picture, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_AREA))
    for item, colour in ((known, (0, 255, 0)), (face, (255, 0, 0))):
        if item is not None:
            corners = (np.array(item.box).reshape(2, 2) + 0.5 - window[:2]) * SHOWN_PX / window[2]
            first, second = (tuple(int(value) for value in corner) for corner in np.rint(corners))
            cv2.rectangle(small, first, second, colour, 1)
    return np.asarray(small, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
