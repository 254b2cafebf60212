"""A batch from jobs to outputs; the same call again keeps what is as it should be and does the rest."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from avatarkit.atomic import own_folder, sweep
from avatarkit.cache import Cache
from avatarkit.errors import Interrupted, OutputError
from avatarkit.pipelines.batch.jobs import WORK, Job, Refusal
from avatarkit.pipelines.batch.plan import FAILED, LOCKS, BatchOptions, Pair, Plan, make_plan
from avatarkit.pipelines.batch.status import JOURNAL, Book, Status
from avatarkit.pipelines.batch.worker import Ready, input_key
from avatarkit.runtime import NullProgress, Progress, counted
from avatarkit.work.claims import claim
from avatarkit.work.on_ray import run_on_ray
from avatarkit.work.pool import Pool
from avatarkit.work.slurm import ArrayJob, ArrayReport, array_job, hold_job
from avatarkit.work.task import Busy, Crew, Task

LOT = 8
"""Pairs that a worker on a Ray cluster makes before it reports."""
MOST_REASONS = 20
"""Told at the end; the journal has all."""
WORKER = "avatarkit.pipelines.batch.worker:BatchWorker"


@dataclass(frozen=True)
class BatchReport:
    """How a batch ended.

    total: pairs asked for. done: made now; kept: as they should be already. refusals: the others. made: how often a
    source's face was found ("portrait") and a driver was tracked ("driver"). work_s: seconds of all workers together.
    """

    total: int
    done: int
    kept: int
    frames: int
    seconds: float
    work_s: float
    refusals: tuple[Refusal, ...] = ()
    made: Mapping[str, int] = field(default_factory=dict)
    again: Mapping[str, str] = field(default_factory=dict)
    busy: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every pair is there."""
        return self.done + self.kept == self.total

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        rate = self.frames / max(self.seconds, 1e-9)
        lines = [
            f"{counted(self.done, 'pairs')} made, {self.kept} kept as they were,"
            f" {len(self.refusals)} refused, of {self.total};"
            f" {counted(self.frames, 'frames')} in {self.seconds:.1f} s, {rate:.1f} frames/s",
            f"{counted(self.made.get('portrait', 0), 'sources')} and"
            f" {counted(self.made.get('driver', 0), 'drivers')} prepared",
        ]
        lines += [f"{name}: made again, {why}" for name, why in list(self.again.items())[:10]]
        lines += [f"{name}: in the hands of another process" for name in self.busy[:10]]
        alike: dict[tuple[str, str], list[Refusal]] = {}
        for item in self.refusals:
            alike.setdefault((item.kind, item.reason), []).append(item)
        for (kind, reason), (item, *others) in list(alike.items())[:MOST_REASONS]:
            more = f" and {len(others)} more" if others else ""
            lines.append(f"refused{f', row {item.row}' if item.row else ''}: {item.pair}{more}: {kind}: {reason}")
        if len(alike) > MOST_REASONS:
            lines.append(f"and for {len(alike) - MOST_REASONS} more reasons, see {JOURNAL}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "total": self.total,
            "done": self.done,
            "kept": self.kept,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "work_seconds": round(self.work_s, 3),
            "prepared": dict(self.made),
            "again": dict(self.again),
            "busy": list(self.busy),
            "refused": [
                {"row": item.row, "pair": item.pair, "class": item.kind, "reason": item.reason}
                for item in self.refusals
            ],
        }


def run(
    jobs: Sequence[Job],
    options: BatchOptions,
    progress: Progress | None = None,
    *,
    refused: Sequence[Refusal] = (),
    show: Callable[[Status], None] | None = None,
    environment: Mapping[str, str] | None = None,
    command: str = "avatarkit batch ... --runner slurm",
) -> BatchReport | ArrayReport:
    """Make all pairs that are not as they should be yet; a bad input costs its pairs alone.

    Args:
        jobs: pairs and their options.
        options: how it is done.
        progress: hears of pairs done, and of notices.
        refused: pairs that could not even be read as jobs; they are noted with the others.
        show: gets the status about twice a second.
        environment: where SLURM's variables are; by default the process's.
        command: as it was given, for the advice on how to start an array.

    Raises:
        OutputError: the folder cannot be written, or another run is at work there; the disk is full.
        DependencyError: workers cannot start, or Ray is missing.
        Interrupted: Ctrl-C or a request to end; what is made stays, nothing is half made.
    """
    progress, start_s = progress or NullProgress(), time.monotonic()
    part = array_job(os.environ if environment is None else environment) if options.runner == "slurm" else None
    try:
        own_folder(options.out, WORK)
    except OSError as error:
        raise OutputError(f"{options.out}: cannot be made: {error.strerror or error}") from error
    if options.runner == "slurm" and part is None:
        after = "the same command with --status says how far it is"
        return ArrayReport(options.out, len(jobs), "pairs", command, after)
    try:
        with _held(options, part):
            return _run(part.part(jobs) if part else jobs, refused, options, part, progress, show, start_s)
    except Busy as error:
        what = "another batch is at work there; wait for it, or choose another -o"
        raise OutputError(f"{options.out}: {what}") from error


def _run(
    jobs: Sequence[Job], refused: Sequence[Refusal], options: BatchOptions, part: ArrayJob | None,
    progress: Progress, show: Callable[[Status], None] | None, start_s: float,
) -> BatchReport:  # fmt: skip
    progress.stage("plan", None)
    shutil.rmtree(options.work / FAILED, ignore_errors=True)
    plan = make_plan(jobs, refused if part is None or part.index == 0 else (), options)
    for name, why in plan.again.items():
        progress.notice(f"{name}: is made again: {why}")
    book = Book(plan, options, part.name if part else "", progress, show)
    state, busy = "failed", []
    try:
        busy = _make(plan, options, book)
        state = "done"
    except KeyboardInterrupt as error:
        state = "interrupted"
        made, total = book.status.done + book.status.kept, book.status.total
        what = "pairs are made; the same command goes on from there"
        raise Interrupted(f"interrupted: {made} of {total} {what}") from error
    finally:
        book.close(state)
        Cache(options.cache_folder, "").sweep()  # of workers that were ended
        if state != "done":
            for folder in {pair.job.config.output.parent for pair in plan.todo}:
                sweep(folder)
    if part is None:
        shutil.rmtree(options.work / LOCKS, ignore_errors=True)
        shutil.rmtree(options.work / FAILED, ignore_errors=True)
    status = book.status
    return BatchReport(
        status.total, status.done, status.kept, status.frames, time.monotonic() - start_s, book.work_s,
        tuple(book.refusals), book.made, plan.again, tuple(busy),
    )  # fmt: skip


def _make(plan: Plan, options: BatchOptions, book: Book) -> list[str]:
    """Make the pairs that are to be made; returns the names of those that another process has."""
    if not plan.todo:
        return []
    environments: tuple[Mapping[str, str], ...] = tuple({"CUDA_VISIBLE_DEVICES": str(gpu)} for gpu in options.gpus)
    # A process keeps the user's settings of threads, so that sums have the same order as in a single reenactment.
    crew = Crew(WORKER, options, environments=environments or ({},), task="pair", step="pair", ahead=True)
    tasks = [*_inputs(plan.todo), *(Task(pair.key, pair) for pair in plan.todo)]
    if options.runner == "ray":
        # Inputs first and alone: a lot's workers on other nodes would wait for them.
        ready = [task for task in tasks if isinstance(task.payload, Ready)]
        run_on_ray(ready, crew, book)
        busy = run_on_ray(tasks[len(ready) :], crew, book, lot=LOT)
    else:
        busy = Pool(crew, workers=options.workers, watcher=book).run(tasks)
    return [task.payload.name for task in busy if isinstance(task.payload, Pair)]


def _inputs(pairs: Sequence[Pair]) -> list[Task]:
    """Each driver and source once, the drivers first: they take longer."""
    tasks: dict[str, Task] = {}
    for part in ("driver", "source"):
        for pair in pairs:
            config = pair.job.config
            name = f"{part} {getattr(config, part).name} {input_key(part, config)[:8]}"
            tasks.setdefault(name, Task(name, Ready(part, config)))
    return list(tasks.values())


def _held(options: BatchOptions, part: ArrayJob | None) -> AbstractContextManager[None]:
    return hold_job(options.work, part) if part else claim(options.work, "run")
