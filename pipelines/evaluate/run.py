"""An evaluation from inputs to tables: render what our engines draw, measure every case once, sum up."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from avatarkit.atomic import own_folder
from avatarkit.cache import digest_of
from avatarkit.errors import InputError, OutputError
from avatarkit.pipelines.evaluate.cases import Refused
from avatarkit.pipelines.evaluate.config import WORK, EvaluateConfig, Method
from avatarkit.pipelines.evaluate.drawing import Given, draw, given_videos, size_of
from avatarkit.pipelines.evaluate.networks import WEIGHTS
from avatarkit.pipelines.evaluate.results import EvaluateReport, check_place, compare, results_of, write_results
from avatarkit.pipelines.evaluate.worker import Collector, Setup, Unmeasured, read_mark
from avatarkit.pipelines.program import program_digest
from avatarkit.runtime import NullProgress, Progress, sha256_file
from avatarkit.weights.load import present
from avatarkit.work.on_ray import run_on_ray
from avatarkit.work.pool import Pool
from avatarkit.work.slurm import ArrayJob, ArrayReport, array_job, hold_job
from avatarkit.work.task import Crew, Task

__all__ = ["EvaluateConfig", "EvaluateReport", "Method", "compare", "evaluate"]

WORKER = "avatarkit.pipelines.evaluate.worker:EvaluateWorker"
AFTER = "the same command with --runner local writes the tables"


def evaluate(
    config: EvaluateConfig,
    progress: Progress | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    command: str = "avatarkit evaluate ... --runner slurm",
) -> EvaluateReport | ArrayReport:
    """Evaluate; the same call again draws and measures only what is not there yet.

    With the runner "slurm" a job of an array draws and measures its part, and nothing is summed up; outside of an array
    it is said how to start one.

    Args:
        environment: where SLURM's variables are; by default the process's. command: as it was given, for that advice.

    Raises:
        UsageError: options that do not go together. InputError: inputs that cannot be read at all, or nothing to
            measure. OutputError: the folder cannot be written.
    """
    progress, began = progress or NullProgress(), time.monotonic()
    part = array_job(os.environ if environment is None else environment) if config.runner == "slurm" else None
    if config.runner == "slurm" and part is None:
        return ArrayReport(config.output, size_of(config), "cases", command, AFTER)
    check_place(config.output)
    with _folder(config.output), hold_job(config.output / WORK, part) if part else nullcontext():
        given = _given(config, progress, part, environment)
        if not given.cases and part is None:
            why = given.refused[0].reason if given.refused else "no pairs"
            raise InputError(f"evaluate {config.kind}: nothing to measure: {why}")
        clips = _measured(config, given, progress)
        if not clips and part is None:
            raise InputError(f"evaluate {config.kind}: nothing could be measured: {given.refused[0].reason}")
        results = results_of(config, given, clips, config.output / WORK / "measured")
        if part is None:
            write_results(config.output, results, time.monotonic() - began)
    return EvaluateReport(config.output, results)


@contextmanager
def _folder(output: Path) -> Iterator[None]:
    """The folder of the results and those in it, which go again where an error leaves them empty."""
    measured, *others = (output / WORK / name for name in ("measured", "sources", "clips"))
    made = [folder for folder in (output, output / WORK, measured, *others) if not folder.exists()]
    try:
        own_folder(output, WORK, measured.name)
    except OSError as error:
        raise OutputError(f"--output {output}: cannot be made: {error.strerror or error}") from error
    try:
        yield
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _given(
    config: EvaluateConfig, progress: Progress, part: ArrayJob | None, environment: Mapping[str, str] | None
) -> Given:
    if config.kind != "videos":
        return draw(config, progress, part, environment)
    given = given_videos(config)
    if part is not None:
        given.cases = part.part(given.cases)
    return given


def _measured(config: EvaluateConfig, given: Given, progress: Progress) -> list[dict[str, Any]]:
    """What was measured of each case, in order; cases that cannot be measured join the refused."""
    marks = config.output / WORK / "measured"
    digest = cache(sha256_file)  # sources and drivers are those of many cases
    by = [program_digest(), *(name for name in WEIGHTS if present(name))]  # fetched later, figures are measured again
    todo: dict[str, Unmeasured] = {}
    for case in given.cases:
        crop = given.crops.get((case.method, case.name))
        files = [digest(path) for path in (case.output, case.driver, case.source) if path is not None]
        about = {"files": files, "crop": crop, "options": asdict(config.measured), "by": by}
        todo[f"{case.method}/{case.name}"] = Unmeasured(case, crop, digest_of(about)[:32])  # type: ignore[arg-type]
    values = {name: mark for name, item in todo.items() if (mark := read_mark(marks, item.key)) is not None}
    # Long ones first, so that no worker is left alone with one at the end.
    missing = [Task(name, item) for name, item in todo.items() if name not in values]
    missing.sort(key=lambda task: -task.payload.case.output.stat().st_size)
    progress.stage("measure", len(missing), "cases")
    if missing:
        collector = Collector(progress)
        crew = Crew(WORKER, Setup(config.measured, marks), task="case", step="case")
        if config.runner == "ray":
            run_on_ray(missing, crew, collector)
        else:
            Pool(crew, workers=min(config.workers, len(missing)), watcher=collector).run(missing)
        values |= collector.values
    rows = []
    for name, item in sorted(todo.items()):
        value = values.get(name, {"kind": "crashed", "reason": "was not measured"})
        if "figures" not in value:
            case = item.case
            given.refused.append(Refused(case.name, case.method, value["kind"], value["reason"], case.row))
            continue
        rows.append(
            {
                "name": item.case.name,
                "method": item.case.method,
                "driver": str(item.case.driver),
                "output": str(item.case.output),
                "source": str(item.case.source) if item.case.source else None,
                "key": item.key,
                **value,
            }
        )
    return rows
