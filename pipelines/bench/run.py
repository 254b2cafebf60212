"""All parts one after the other, as json and as a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avatarkit.atomic import write_json, write_whole
from avatarkit.errors import OutputError, UsageError
from avatarkit.pipelines.bench import parts
from avatarkit.pipelines.bench.parts import BenchConfig, Speed
from avatarkit.pipelines.pages import check_own
from avatarkit.runtime import NullProgress, Progress, cpu_threads, versions

__all__ = ["PARTS", "BenchConfig", "BenchReport", "bench", "processor"]

PARTS: Mapping[str, Callable[[BenchConfig, Path], Iterator[Speed]]] = {
    "media": parts.media,
    "tracking": parts.tracking,
    "engines": parts.engines,
    "loader": parts.loader,
    "training": parts.training,
}
NEED_DATASET = ("loader", "training")
HEADS = "| part | what | a second | beside | a second | time, of the bare work |"


@dataclass(frozen=True)
class BenchReport:
    """speeds: what was measured. left_out: parts that were not, and why. machine: what it ran on."""

    speeds: tuple[Speed, ...]
    left_out: Mapping[str, str]
    machine: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        speeds = [{**asdict(speed), "ratio": speed.ratio} for speed in self.speeds]
        return {"machine": dict(self.machine), "speeds": speeds, "left_out": dict(self.left_out)}

    def markdown(self) -> str:
        """A table."""
        about = ", ".join(str(value) for value in self.machine.values())
        lines = [about, "", HEADS, "|---|---|---|---|---|---|"]
        lines += [
            f"| {speed.part} | {speed.what} | {speed.per_s:.1f} {speed.unit} | {speed.bare} | {speed.bare_per_s:.1f} |"
            f" {speed.ratio:.2f} x |"
            for speed in self.speeds
        ]
        lines += [f"\n{name}: not measured: {why}." for name, why in self.left_out.items()]
        return "\n".join(lines) + "\n"

    def summary_lines(self) -> list[str]:
        """A line for each speed."""
        return [
            *(
                f"{speed.part}: {speed.what}: {speed.per_s:.1f} {speed.unit}/s, {speed.ratio:.2f} x the time of"
                f" {speed.bare}"
                for speed in self.speeds
            ),
            *(f"{name}: not measured: {why}" for name, why in self.left_out.items()),
        ]


def bench(
    config: BenchConfig, chosen: Sequence[str] = (), output: Path | None = None, progress: Progress | None = None
) -> BenchReport:
    """Measure; results go to OUTPUT.json, and as a table to OUTPUT.md beside it.

    Args:
        chosen: names of parts; all where empty. output: a path ending in .json, or None.

    Raises:
        UsageError: an unknown part, or one that needs a dataset that is not given. InputError: driver, source or
            dataset cannot be used. OutputError: results cannot be written.
    """
    progress = progress or NullProgress()
    for name in chosen:
        if name not in PARTS:
            raise UsageError(f"bench {name}: use {', '.join(PARTS)}")
        if name in NEED_DATASET and config.dataset is None:
            raise UsageError(f"bench {name}: give --dataset DIR, made by avatarkit prepare-data")
    if output is not None and output.suffix != ".json":
        raise UsageError(f"--output {output}: use a name that ends in .json")
    if output is not None:
        advice = "no result of bench; choose another name with -o"
        check_own(output, '"left_out"', advice)
        check_own(output.with_suffix(".md"), HEADS, advice)
    machine = _machine()
    speeds: list[Speed] = []
    left_out: dict[str, str] = {}
    progress.stage("bench", len(chosen or PARTS), "parts")
    with TemporaryDirectory(prefix="avatarkit-bench-") as work:
        for name in chosen or PARTS:
            if name in NEED_DATASET and config.dataset is None:
                left_out[name] = "needs --dataset"
            else:
                speeds += PARTS[name](config, Path(work))
            progress.advance()
    report = BenchReport(tuple(speeds), left_out, machine)
    if output is not None:
        try:
            write_json(output, report.to_json())
            write_whole(output.with_suffix(".md"), report.markdown().encode())
        except OSError as error:
            raise OutputError(f"--output {output}: cannot be written: {error.strerror or error}") from error
    return report


def _machine() -> dict[str, Any]:
    names = [f"{name} {version}" for name, version in versions().items() if name in ("python", "torch", "avatarkit")]
    load = f"load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else "load unknown"
    threads = f"{cpu_threads()} threads"
    return {"processor": processor(), "threads": threads, "load": load, "versions": ", ".join(names)}


def processor() -> str:
    """The processor's name as Linux gives it; elsewhere as Python knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
