"""How far a batch is: kept in a small file that anybody may read while it runs, and a journal of what happened."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from avatarkit.atomic import open_journal, write_quickly
from avatarkit.errors import InputError, OutputError
from avatarkit.pipelines.batch.jobs import WORK, Refusal
from avatarkit.pipelines.batch.plan import BatchOptions, Pair, Plan
from avatarkit.pipelines.batch.worker import Made, Ready
from avatarkit.reading import check_number, check_text, check_whole, read_json, read_json_lines
from avatarkit.runtime import Progress
from avatarkit.work.task import Result
from avatarkit.work.watcher import QuietWatcher

JOURNAL = "batch.jsonl"
WRITE_EVERY_S = 0.5
SILENT_S = 30.0
"""A status that was not written for so long is of a run that is gone."""
LATEST_S = 1e11
"""Times since 1970 and times left are below this: three thousand years."""


@dataclass(frozen=True)
class WorkerStatus:
    """What a process is at: the pair or input, the stage, frames of how many."""

    task: str
    stage: str = ""
    frames: int = 0
    of: int = 0

    def at(self) -> str:
        """The stage and how far it is."""
        return f"{self.stage or 'prepare'} {self.frames}/{self.of}" if self.of else self.stage or "prepare"


@dataclass
class Status:
    """Where a run is. Times are seconds since 1970; state: "running", "done", "interrupted" or "failed"."""

    total: int
    kept: int = 0
    done: int = 0
    refused: int = 0
    frames: int = 0
    frames_per_s: float = 0.0
    left_s: float | None = None
    state: str = "running"
    host: str = ""
    started_s: float = 0.0
    written_s: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    workers: dict[str, WorkerStatus] = field(default_factory=dict)

    def table(self) -> list[str]:
        """What is refused, how fast it goes, and a line for each worker; what may be cut off comes last in a line."""
        counts = [f"{self.kept} made before"] if self.kept else []
        counts += [f"{count} refused as {kind}" for kind, count in sorted(self.reasons.items())]
        left = [] if self.left_s is None else [f"about {timedelta(seconds=round(self.left_s))} left"]
        wide = max(map(len, self.workers), default=0)
        rows = [f"{name:{wide}}  {item.at():18} {item.task}" for name, item in sorted(self.workers.items())]
        if self.state == "running" and not self.frames_per_s:
            speed = "sources and drivers are prepared first"
        else:
            speed = f"{self.frames_per_s:.1f} frames/s"
        return [", ".join([speed, *left, *counts]), *rows]

    def lines(self) -> list[str]:
        """The whole, for another terminal."""
        state = self.state
        if state == "running" and time.time() - self.written_s > SILENT_S:
            state = f"no sign of life for {time.time() - self.written_s:.0f} s"
        return [f"{self.done + self.kept} of {self.total} pairs made; {state} on {self.host}", *self.table()]


def read_status(out: Path) -> list[Status]:
    """The status of a batch's runs: one, or one for each job of an array.

    Raises:
        InputError: there is none.
    """
    result = []
    for path in sorted((out / WORK).glob("status*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, InputError):
            values = read_json(path)
            workers = {name: WorkerStatus(**about) for name, about in values.pop("workers").items()}
            status = Status(**values, workers=workers)
            _check(status)
            result.append(status)
    if not result:
        raise InputError(f"{out}: no batch was started here; give the folder that -o named")
    return result


def _check(status: Status) -> None:
    """Raise ValueError where a value is none that `Book` writes."""
    for name in ("total", "kept", "done", "refused", "frames"):
        check_whole(getattr(status, name), name)
    for name in ("frames_per_s", "started_s", "written_s", *(["left_s"] if status.left_s is not None else [])):
        check_number(getattr(status, name), name, LATEST_S)
    for worker in status.workers.values():
        check_whole(worker.frames, "frames")
        check_whole(worker.of, "of")
        check_text(worker.task, "task")
        check_text(worker.stage, "stage")
    for reason, count in status.reasons.items():
        check_whole(count, reason)
    check_text(status.state, "state")
    check_text(status.host, "host")


def journal(out: Path) -> Iterator[dict[str, Any]]:
    """What happened, in order; a line that was cut off by a kill is left out."""
    for path in sorted(out.glob("batch*.jsonl")):
        with suppress(OSError, InputError):
            yield from read_json_lines(path)


def _place(path: Path | str | None) -> str:
    """A file's whole name: a gallery may be made from another folder."""
    return os.path.abspath(path) if path else ""


class Book(QuietWatcher):
    """Watches over a run: the journal, the status, progress. Close it with how the run ended.

    Args:
        plan: what is to be done. options: of the batch. part: name of an array's job, or "".
        progress: shown to the user. show: gets the status now and then, for a live table.
    """

    def __init__(
        self, plan: Plan, options: BatchOptions, part: str, progress: Progress, show: Callable[[Status], None] | None
    ) -> None:
        super().__init__()
        self._progress, self._show = progress, show
        self._pairs = {pair.key: pair for pair in plan.todo}
        self.made: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self.work_s = 0.0
        """Seconds that workers spent on pairs, together."""
        total = len(plan.todo) + len(plan.kept) + len(plan.refused)
        self.status = Status(total, len(plan.kept), host=socket.gethostname(), started_s=time.time())
        ending = f"-{part}" if part else ""
        self._status_path = options.work / f"status{ending}.json"
        journal_path = options.out / f"batch{ending}.jsonl"
        try:
            self._file = open_journal(journal_path)
        except OSError as error:
            raise OutputError(f"{journal_path}: cannot be written: {error.strerror or error}") from error
        self._last_s = time.monotonic()
        self._first_pair_s: float | None = None
        self._seen: set[tuple[str, str]] = set()
        for refusal in plan.refused:
            self.refuse(refusal)
        self._write()
        progress.stage("pairs", len(plan.todo), "pairs")

    def close(self, state: str) -> None:
        """Write the last status."""
        self.status.state, self.status.workers, self.status.left_s = state, {}, None
        self._write()
        self._file.close()

    def refuse(self, refusal: Refusal) -> None:
        """Note that a pair is refused."""
        self.refusals.append(refusal)
        self.status.refused += 1
        self.status.reasons[refusal.kind] = self.status.reasons.get(refusal.kind, 0) + 1
        places = {"source": _place(refusal.source), "driver": _place(refusal.driver)}
        self._note("refused", **(asdict(refusal) | places))

    def started(self, task: str, worker: str) -> None:
        """A worker begins a task."""
        if task in self._pairs and self._first_pair_s is None:
            self._first_pair_s = time.monotonic()
        self.status.workers[worker] = WorkerStatus(self._called(task))

    def alive(self, task: str, progress: tuple[str, int, int], worker: str) -> None:
        """A worker says how far it is."""
        self.status.workers[worker] = WorkerStatus(self._called(task), *progress)

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """A worker died; the user is told, and the pair is tried once more."""
        super().crashed(task, step, reason, worker, detail)
        self.status.workers.pop(worker, None)
        what = f"refused as {reason}" if self.poisoned(task) else "tried once more"
        self._note(reason, pair=self._called(task), reason=detail, worker=worker)
        self._progress.notice(f"{self._called(task)}: the worker {detail}; it is {what}")

    def ended(self, result: Result, worker: str) -> None:
        """A task has ended."""
        self.status.workers.pop(worker, None)
        if result.how == "deferred":
            _, kind, detail = result.failures[0]
            self._note("again", pair=self._called(result.task.name), kind=kind, reason=detail, worker=worker)
            return
        made: Made = result.value
        self.made.update(made.made or {})
        self.work_s += result.seconds
        if isinstance(result.task.payload, Ready):
            return
        pair: Pair = result.task.payload
        self._progress.advance()
        if made.refusal is not None:
            self.refuse(made.refusal)
            seen = (made.refusal.kind, made.refusal.reason)
            if seen not in self._seen:  # a source without a face is no news for each of its drivers
                self._seen.add(seen)
                self._progress.notice(f"{pair.name}: refused: {made.refusal.reason}")
            return
        if made.kept:
            self.status.kept += 1
            return
        self.status.done += 1
        self.status.frames += made.frames
        config = pair.job.config
        self._note(
            "done", pair=pair.name, row=pair.job.row, source=_place(config.source), driver=_place(config.driver),
            frames=made.frames, seconds=round(made.seconds, 3), engine=made.engine, worker=worker,
        )  # fmt: skip

    def tick(self) -> None:
        """Write and show the status when it is due."""
        if time.monotonic() - self._last_s >= WRITE_EVERY_S:
            self._write()
            if self._show is not None:
                self._show(self.status)

    def _called(self, task: str) -> str:
        # An input's task ends with a number that tells apart two files of one name.
        return self._pairs[task].name if task in self._pairs else task.rpartition(" ")[0]

    def _write(self) -> None:
        self._last_s = time.monotonic()
        spent_s = 0.0 if self._first_pair_s is None else self._last_s - self._first_pair_s
        status = self.status
        drawing = [item for item in status.workers.values() if item.stage == "render" and item.of]
        made = status.frames + sum(item.frames for item in drawing)
        status.frames_per_s = round(made / spent_s, 2) if spent_s else 0.0
        share = sum(item.frames / item.of for item in drawing)
        left = status.total - status.kept - status.done - len(self.refusals) - share
        status.left_s = round(spent_s * left / (status.done + share), 1) if status.done else None
        status.written_s = time.time()
        write_quickly(self._status_path, json.dumps(asdict(status)).encode())

    def _note(self, state: str, **values: Any) -> None:
        self._file.write(json.dumps({"state": state, "time": round(time.time(), 3), **values}) + "\n")
        self._file.flush()
