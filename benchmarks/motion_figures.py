"""How well the motion arrives: the scorer's figures over drivers x portraits, and over self-reenactments."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import child
from media_set import MediaSet, label
from tables import Bar, Row, Value, Verdict, median_verdict, numbers

from avatarkit.errors import AvatarkitError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import write_image

Item = TypeVar("Item")
Result = TypeVar("Result")

MOTION_BARS = (
    Bar("lost", "<=", 0.02),
    Bar("r_mouth", ">=", 0.90),
    Bar("r_eye", ">=", 0.70),
    Bar("r_gaze", ">=", 0.70),
    Bar("rot_err_deg", "<=", 2.5),
    Bar("jitter", "<=", 1.2),
)
MOTION_COLUMNS = ("driver", "portrait", *(bar.name for bar in MOTION_BARS), "note")
SELF_COLUMNS = ("driver", "nme", "nme_static", "ratio", "psnr_face", "psnr_static", "gain_db", "note")


@dataclass(frozen=True)
class Settings:
    """`scorer` is a script that is called as SCORER DRIVER OUTPUT --json --every N [--self].

    `reuse` scores the outputs that `work` already holds; `jobs` runs go on at a time.
    """

    work: Path
    scorer: Path
    every: int
    jobs: int
    reuse: bool
    size: int


def motion_rows(media: MediaSet, settings: Settings) -> list[Row]:
    """One row for each driver and portrait.

    A driver's motion is extracted once and the file is used for all portraits; from tracking on, that is the
    same path as with the video.
    """

    def extract(driver: Path) -> child.Finished | None:
        target = _motion_file(settings, driver)
        if settings.reuse and target.exists():
            return None
        done = child.extract_motion(driver, target)
        return done if done.code else None

    refused = dict(zip(media.drivers, _parallel(extract, media.drivers, settings.jobs), strict=True))

    def pair(names: tuple[Path, Path]) -> Row:
        driver, portrait = names
        row: dict[str, Value] = {"driver": label(driver), "portrait": label(portrait)}
        failure = refused[driver]
        if failure is not None:
            return row | _ended(failure)
        output = settings.work / f"{label(driver)}-{label(portrait)}.mp4"
        if not (settings.reuse and output.exists()):
            motion = _motion_file(settings, driver)
            done = child.reenact(portrait, motion, output, "--size", str(settings.size))
            if done.code:
                return row | _ended(done)
        return row | _scored(settings, driver, output)

    pairs = [(driver, portrait) for driver in media.drivers for portrait in media.portraits]
    return _parallel(pair, pairs, settings.jobs)


def self_rows(media: MediaSet, settings: Settings) -> list[Row]:
    """One row for each driver: its first frame is the source, and the output should be the driver itself."""

    def one(driver: Path) -> Row:
        row: dict[str, Value] = {"driver": label(driver)}
        source, output = (settings.work / f"{label(driver)}-self{suffix}" for suffix in (".png", ".mp4"))
        if not (settings.reuse and output.exists()):
            try:
                with FrameReader(driver) as frames:
                    write_image(source, next(frames))
            except AvatarkitError as error:
                return row | {"note": f"no first frame: {error}", "outcome": "failed"}
            done = child.reenact(source, driver, output, "--paste-back", "--motion", "absolute")
            if done.code:
                return row | _ended(done)
        row |= _scored(settings, driver, output, "--self")
        if row["outcome"] == "scored":
            row["ratio"] = _float(row, "nme") / _float(row, "nme_static")
            row["gain_db"] = _float(row, "psnr_face") - _float(row, "psnr_static")
        return row

    return _parallel(one, media.drivers, settings.jobs)


def motion_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Medians over the runs that made a video, beside their bars; and how many failed."""
    made = [row for row in rows if row["outcome"] in {"scored", "unscored"}]
    verdicts = [median_verdict(made, bar) for bar in MOTION_BARS]
    return [*verdicts, _failures(rows)]


def self_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """The ratio of the medians, the median of the ratios, and the median gain over a still picture."""
    made = [row for row in rows if row["outcome"] == "scored"]
    moved, still = numbers(made, "nme"), numbers(made, "nme_static")
    of_medians = statistics.median(moved) / statistics.median(still) if moved else None
    return [
        Verdict(Bar("median nme / median nme_static", "<=", 0.30), of_medians, f"over {len(moved)}"),
        median_verdict(made, Bar("ratio", "<=", 0.30)),
        median_verdict(made, Bar("gain_db", ">=", 3.0)),
        _failures(rows),
    ]


def refusals(rows: Sequence[Row]) -> list[str]:
    """What was said instead of a figure, a line for each run."""
    names = (" x ".join(str(row[key]) for key in ("driver", "portrait") if key in row) for row in rows)
    return [
        f"{name}: {row['outcome']}: {row.get('note')}"
        for name, row in zip(names, rows, strict=True)
        if row["outcome"] != "scored"
    ]


def _failures(rows: Sequence[Row]) -> Verdict:
    count = sum(row["outcome"] == "failed" for row in rows)
    refused = sum(row["outcome"] == "refused" for row in rows)
    note = f"{refused} refused of {len(rows)}"
    return Verdict(Bar("runs that fail without a clear reason", "<=", 0), count, note)


def _ended(done: child.Finished) -> dict[str, Value]:
    """A refusal is one error line and the exit code of a bad input; anything else is a failure."""
    clear = done.code == 3 and "Traceback" not in done.err
    return {"outcome": "refused" if clear else "failed", "note": done.message}


def _scored(settings: Settings, driver: Path, output: Path, *options: str) -> dict[str, Value]:
    every = ["--every", str(settings.every)]
    done = child.run([sys.executable, settings.scorer, driver, output, "--json", *every, *options])
    if done.code:
        # Too few frames with a face: as bad as an output in which every frame lost it.
        return {"outcome": "unscored", "lost": 1.0, "note": done.message}
    figures: dict[str, Value] = json.loads(done.out.strip().splitlines()[-1])
    nulls = [bar.name for bar in MOTION_BARS if figures.get(bar.name) is None]
    note = f"driver hardly moves: {', '.join(nulls)}" if nulls else ""
    return {**figures, "outcome": "scored", "note": note}


def _motion_file(settings: Settings, driver: Path) -> Path:
    return settings.work / f"{label(driver)}.motion"


def _float(row: Row, key: str) -> float:
    value = row[key]
    if not isinstance(value, int | float):
        raise TypeError(f"the scorer gave {value!r} for {key}")
    return float(value)


def _parallel(job: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> list[Result]:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(job, items))
