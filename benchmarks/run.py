"""Measure avatarkit: motion, self, artefacts, eyes, speed, memory, sync, prepare, sharpness, loader, matte.

See docs/benchmarks.md.
Without --media the demo's own driver is used, for speed, memory and sync. Each benchmark prints Markdown
tables. The exit code is 2 when something cannot be measured as asked, 1 with --check when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import artefacts
import eyes
import loader
import machine
import matte
import motion_figures
import prepare
import sync
from media_set import DEFAULT_PORTRAITS, BenchmarkError, MediaSet, demo_set, media_set
from tables import Row, Verdict, markdown, verdict_table

WITH_SCORER = ("motion", "self")
OWN_INPUTS = ("sharpness", "loader", "matte")
WITHOUT_SCORER = ("speed", "memory", "sync")


@dataclass(frozen=True)
class Result:
    """Rows of one benchmark, the columns worth showing, the verdicts, and remarks."""

    title: str
    rows: list[Row]
    columns: Sequence[str]
    verdicts: list[Verdict]
    remarks: Sequence[str] = ()

    def text(self) -> str:
        """Everything as Markdown."""
        tables = verdict_table(self.verdicts), markdown(self.rows, self.columns)
        return "\n\n".join([f"## {self.title}", tables[0], *self.remarks, tables[1]]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks one after another."""
    options = _parser().parse_args(argv)
    scored = WITH_SCORER if options.scorer and options.media else ()
    chosen = options.benchmarks or [*scored, *WITHOUT_SCORER]
    try:
        with tempfile.TemporaryDirectory(prefix="avatarkit-bench-") as scratch:
            work = options.work or Path(scratch)
            work.mkdir(parents=True, exist_ok=True)
            return _run(chosen, options, work)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(chosen: Sequence[str], options: argparse.Namespace, work: Path) -> int:
    scored = [name for name in chosen if name in WITH_SCORER]
    if scored and not (options.media and options.scorer):
        raise BenchmarkError(f"{' and '.join(scored)}: needs --media FOLDER and --scorer SCRIPT")
    media = _media(chosen, options, work)
    missed, collected = False, {}
    for name in chosen:
        result = BENCHMARKS[name](media, options, work)
        print(result.text(), flush=True)
        collected[name] = [dict(row) for row in result.rows]
        missed |= any(verdict.word == "FAIL" for verdict in result.verdicts)
        if options.json:
            options.json.write_text(json.dumps(collected, indent=1) + "\n", encoding="utf-8")
    return int(missed and options.check)


def _media(chosen: Sequence[str], options: argparse.Namespace, work: Path) -> MediaSet:
    if options.media:
        return media_set(options.media, options.only, options.portraits)
    return MediaSet([], []) if set(chosen) <= set(OWN_INPUTS) else demo_set(work)


def _motion(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = motion_figures.motion_rows(media, _settings(options, work))
    title = f"motion: {len(media.drivers)} drivers x {len(media.portraits)} portraits, --every {options.every}"
    return _scored(title, rows, motion_figures.MOTION_COLUMNS, motion_figures.motion_verdicts(rows))


def _eyes(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = eyes.eye_rows(media, work, options.size)
    title = f"eyes: {len(media.drivers)} drivers x {len(media.portraits)} portraits, {eyes.SECONDS:g} s of each"
    return Result(title, rows, eyes.COLUMNS, eyes.eye_verdicts(rows))


def _artefacts(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = artefacts.artefact_rows(media, work, options.size, options.moments)
    title = f"artefacts: {len(media.drivers)} drivers x {len(media.portraits)} portraits, {options.moments} moments"
    return Result(title, rows, artefacts.COLUMNS, artefacts.artefact_verdicts(rows))


def _self(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = motion_figures.self_rows(media, _settings(options, work))
    title = f"self: {len(media.drivers)} drivers, --every {options.every}"
    return _scored(title, rows, motion_figures.SELF_COLUMNS, motion_figures.self_verdicts(rows))


def _scored(title: str, rows: list[Row], columns: Sequence[str], verdicts: list[Verdict]) -> Result:
    return Result(title, rows, columns, verdicts, motion_figures.refusals(rows))


def _speed(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    about = machine.conditions()
    driver = options.driver or _hd_driver(media, options)
    rows = machine.speed_rows(media.portraits[0], driver, work, options.size, options.repeats)
    verdicts = machine.speed_verdicts(rows)
    title = f"speed: at {options.size}, median of {options.repeats}"
    return Result(title, rows, machine.SPEED_COLUMNS, verdicts, [about])


def _memory(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    driver = options.driver or _hd_driver(media, options)
    rows = machine.memory_rows(media.portraits[0], driver, work, options.size)
    verdicts = machine.memory_verdicts(rows)
    title = f"memory: at {options.size}"
    return Result(title, rows, machine.MEMORY_COLUMNS, verdicts, [machine.conditions()])


def _prepare(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    about = machine.conditions()
    rows = prepare.prepare_rows(options.driver or _hd_driver(media, options), work, options.repeats)
    title = f"prepare: median of {options.repeats}"
    return Result(title, rows, prepare.PREPARE_COLUMNS, prepare.prepare_verdicts(rows), [about])


def _sharpness(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    if not options.photos:
        raise BenchmarkError("sharpness: needs --photos FOLDER")
    rows = prepare.sharpness_rows(options.photos, options.every)
    title = f"sharpness: {options.photos.name}, --every {options.every}"
    return Result(title, rows, prepare.SHARPNESS_COLUMNS, prepare.sharpness_verdicts(rows))


def _loader(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    if not options.clips:
        raise BenchmarkError("loader: needs --clips FOLDER")
    about = machine.conditions()
    rows = loader.loader_rows(loader.videos_in(options.clips)[: options.max_clips], options.dataset, work)
    return Result("loader: one process", rows, loader.COLUMNS, loader.loader_verdicts(rows), [about])


def _matte(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = matte.matte_rows(options.repeats)
    title = f"matte: {matte.SIDE_PX} px"
    return Result(title, rows, matte.COLUMNS, matte.matte_verdicts(rows), [machine.conditions()])


def _sync(media: MediaSet, options: argparse.Namespace, work: Path) -> Result:
    rows = sync.sync_rows(media.drivers, media.portraits[0], work, options.sync_size, options.reuse)
    verdicts = sync.sync_verdicts(rows)
    return Result(f"sync: {len(rows)} drivers", rows, sync.COLUMNS, verdicts)


BENCHMARKS: dict[str, Callable[[MediaSet, argparse.Namespace, Path], Result]] = {
    "motion": _motion,
    "self": _self,
    "artefacts": _artefacts,
    "eyes": _eyes,
    "speed": _speed,
    "memory": _memory,
    "sync": _sync,
    "prepare": _prepare,
    "sharpness": _sharpness,
    "loader": _loader,
    "matte": _matte,
}


def _settings(options: argparse.Namespace, work: Path) -> motion_figures.Settings:
    return motion_figures.Settings(
        work, options.scorer, options.every, options.jobs, options.reuse, options.size
    )


def _hd_driver(media: MediaSet, options: argparse.Namespace) -> Path:
    """The 720p driver of the media; with the demo there is but one driver, of its own size."""
    return media.hd_driver() if options.media else media.drivers[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("benchmarks", nargs="*", type=_benchmark, metavar="NAME", help="which ones (all that can run)")
    add("--media", type=Path, metavar="DIR", help="folder with drivers/ and portraits/")
    add("--scorer", type=Path, metavar="PY", help="called as PY DRIVER OUTPUT --json --every N [--self]")
    add("--only", metavar="D,..", help="drivers whose names begin like this (all)")
    add("--portraits", metavar="P,..", help=f"the same ({','.join(DEFAULT_PORTRAITS)})")
    add("--photos", type=Path, metavar="DIR", help="portrait photos, for sharpness")
    add("--clips", type=Path, metavar="DIR", help="videos, for loader")
    add("--max-clips", type=_count, default=24, metavar="N", help="of which loader takes the first N (24)")
    add("--dataset", type=Path, metavar="DIR", help="dataset for loader (made of --clips, with drawn mattes)")
    add("--driver", type=Path, help="driver of speed and memory (the longest of 1280 x 720)")
    add("--every", type=_count, default=3, metavar="N", help="the scorer looks at every Nth frame (3)")
    add("--moments", type=_count, default=6, metavar="N", help="artefacts looks at N pairs of frames (6)")
    add("--jobs", type=_count, default=2, metavar="N", help="runs of motion and self at a time (2)")
    add("--repeats", type=_count, default=3, metavar="N", help="runs of speed (3)")
    add("--size", type=_count, default=1024, metavar="PX", help="side of the picture (1024)")
    add("--sync-size", type=_count, default=256, metavar="PX", help="the same for sync (256)")
    add("--work", type=Path, metavar="DIR", help="keep the outputs here (a temporary folder)")
    add("--reuse", action="store_true", help="score what --work already holds, render only what is missing")
    add("--json", type=Path, metavar="OUT", help="also write all rows as json")
    add("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


def _benchmark(text: str) -> str:
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{text}: use {', '.join(BENCHMARKS)}")
    return text


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
