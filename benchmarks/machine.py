"""What a run costs: frames a second, and memory by the length of the driver."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import child
import ffmpeg
from media_set import BenchmarkError, described
from tables import Bar, Row, Value, Verdict

from avatarkit.media.ffmpeg import command, media_input
from avatarkit.media.probe import probe
from avatarkit.media.rate import format_rate
from avatarkit.pipelines.bench.parts import decode_command, encode_command
from avatarkit.pipelines.bench.run import processor
from avatarkit.runtime import cpu_threads

ENCODE_FRAMES = 150
SPEED_COLUMNS = ("part", "seconds", "frames_per_s", "note")
MEMORY_COLUMNS = ("driver_s", "frames", "tree_mb", "report_mb", "wall_s")
LENGTHS_S = (5, 60)
BARE_DECODE, BARE_ENCODE = "ffmpeg alone, decode", "ffmpeg alone, encode"


def conditions() -> str:
    """The machine and how busy it is, for the reader of the figures."""
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    return f"{processor()}, {cpu_threads()} threads, Python {platform.python_version()}{load}"


def speed_rows(source: Path, driver: Path, work: Path, size: int, repeats: int) -> list[Row]:
    """Medians over `repeats` whole runs: the command from outside, its stages, and ffmpeg alone for scale."""
    output, report = work / "speed.mp4", work / "speed.json"
    walls: list[float] = []
    stages: dict[str, list[float]] = {}
    frames = 0
    for _ in range(repeats):
        done = child.reenact(source, driver, output, "--size", str(size), "--report", report)
        content = _report(done, report)
        frames = content["output"]["frames"]
        walls.append(done.wall_s)
        for name, seconds in content["seconds"].items():
            stages.setdefault(name, []).append(seconds)
    totals = [sum(values) for values in zip(*stages.values(), strict=True)]
    rows = [_rate("end to end, the whole command", walls, frames, f"{described(driver)}; {frames} frames")]
    rows.append(_rate("end to end, without starting Python", totals, frames, "sum of the stages"))
    notes = {"track": "decode and track", "render": "warp, composite and encode", "source": "fixed cost"}
    rows += [_rate(f"stage {name}", values, frames, notes.get(name, "")) for name, values in stages.items()]
    return [*rows, *_bare_ffmpeg(driver, output, work, repeats)]


def speed_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """The rate of the whole command, and its time per frame over that of decoding and encoding alone."""
    rates = {str(row["part"]): _number(row["frames_per_s"]) for row in rows}
    whole = _number(rows[0]["frames_per_s"])
    bare_s = 1 / rates[BARE_DECODE] + 1 / rates[BARE_ENCODE]
    return [
        Verdict(Bar("frames a second, end to end", ">=", 40), whole, "the whole command"),
        Verdict(Bar("time over decode + encode alone", "<=", 2.5), 1 / whole / bare_s, "per frame, same run"),
    ]


def memory_rows(source: Path, driver: Path, work: Path, size: int) -> list[Row]:
    """Peak memory of the process tree for the driver looped to 5 s and to 60 s."""
    rows: list[Row] = []
    for seconds in LENGTHS_S:
        looped = _looped(driver, work / f"memory-{driver.stem}-{seconds}s.mp4", seconds)
        report = work / f"memory-{seconds}s.json"
        output = work / f"memory-out-{seconds}s.mp4"
        done = child.reenact(
            source, looped, output, "--size", str(size), "--report", report, watch_memory=True
        )
        content = _report(done, report)
        rows.append(
            {
                "driver_s": seconds,
                "frames": content["output"]["frames"],
                "tree_mb": done.peak_bytes / 1e6,
                "report_mb": content["peak_memory_bytes"] / 1e6,
                "wall_s": done.wall_s,
            }
        )
    return rows


def memory_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Growth from the short driver to the long one and the larger peak, by both ways of measuring."""
    verdicts = []
    for key, seen in (("tree_mb", "process tree, sampled"), ("report_mb", "the program's own report")):
        short, long = (_number(row[key]) for row in rows)
        verdicts += [
            Verdict(Bar("peak, 60 s against 5 s", "<=", 1.1), long / short, seen),
            Verdict(Bar("peak in MB", "<=", 700), max(short, long), seen),
        ]
    return verdicts


def _rate(part: str, seconds: Sequence[float], frames: int, note: str) -> Row:
    middle = statistics.median(seconds)
    return {"part": part, "seconds": middle, "frames_per_s": frames / max(middle, 1e-9), "note": note}


def _bare_ffmpeg(driver: Path, output: Path, work: Path, repeats: int) -> list[Row]:
    """What ffmpeg alone does: decoding the driver to RGB, and encoding raw frames of the output."""
    video = probe(driver, require_video=True).video
    drawn = probe(output, require_video=True).video
    assert video is not None
    assert drawn is not None
    raw = work / "raw.rgb"
    count = min(ENCODE_FRAMES, drawn.frames)
    _checked(
        command(
            ffmpeg.output(
                media_input(output)["V:0"], str(raw), format="rawvideo", pix_fmt="rgb24", vframes=count
            )
        )
    )
    encode = encode_command(raw, drawn.width, drawn.height, format_rate(drawn.rate))
    try:
        decoded = [_checked(decode_command(driver)).wall_s for _ in range(repeats)]
        encoded = [_checked(encode).wall_s for _ in range(repeats)]
    finally:
        raw.unlink(missing_ok=True)
    return [
        _rate(BARE_DECODE, decoded, video.frames, "the driver to RGB"),
        _rate(BARE_ENCODE, encoded, count, f"{drawn.width} x {drawn.height}, x264 veryfast"),
    ]


def _looped(driver: Path, target: Path, seconds: int) -> Path:
    """The driver repeated to that length, with its sound; made once."""
    if not target.exists():
        partial = target.with_name(f"partial-{target.name}")
        video = probe(driver, require_video=True).video
        assert video is not None
        loops = int(Fraction(seconds) / video.duration) + 1
        _checked(
            command(
                ffmpeg.output(
                    media_input(driver, stream_loop=loops),
                    str(partial),
                    t=seconds,
                    preset="ultrafast",
                    crf=18,
                )
            )
        )
        partial.rename(target)
    return target


def _checked(args: Sequence[str]) -> child.Finished:
    done = child.run(args)
    if done.code:
        raise BenchmarkError(f"ffmpeg failed: {done.message}")
    return done


def _report(done: child.Finished, report: Path) -> dict[str, Any]:
    if done.code:
        raise BenchmarkError(done.message)
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)
