"""Tasks on a Ray cluster: Ray starts small lots of them, each in the local pool with one worker, so rules are the same.

A node or worker that dies costs its lots' current tries; Ray starts them elsewhere, and tasks with a mark are left as
they are. Outputs lie on a file system that all nodes share.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from avatarkit.errors import AvatarkitError, DependencyError
from avatarkit.work.pool import Pool
from avatarkit.work.task import Crew, Result, Task, Watcher
from avatarkit.work.watcher import QuietWatcher

BUSY_PATIENCE_S = 60.0
"""A task that was begun elsewhere may hold its lock until its machine is known to be dead."""
RETRIES = 10


class Record(QuietWatcher):
    """Watches over a lot where it is done, and brings home what happened.

    known: poisoned steps of each task. calls: method and arguments of each report, for the run's own watcher.
    """

    def __init__(self, known: dict[str, dict[str, str]]) -> None:
        super().__init__()
        self.known = known
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def opened(self, advice: tuple[str, ...]) -> None:
        """Note it."""
        self.calls.append(("opened", (advice,)))

    def started(self, task: str, worker: str) -> None:
        """Note it."""
        self.calls.append(("started", (task, worker)))

    def begun(self, task: str, step: str, worker: str) -> None:
        """Note it."""
        self.calls.append(("begun", (task, step, worker)))

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """Note it, and count."""
        super().crashed(task, step, reason, worker, detail)
        self.calls.append(("crashed", (task, step, reason, worker, detail)))

    def poisoned(self, task: str) -> Mapping[str, str]:
        """Steps that have crashed too often, here or before."""
        return {**self.known.get(task, {}), **super().poisoned(task)}

    def done(self, task: str, step: str, value: Any, worker: str) -> None:
        """Note it."""
        self.calls.append(("done", (task, step, value, worker)))

    def ended(self, result: Result, worker: str) -> None:
        """Note it."""
        self.calls.append(("ended", (result, worker)))


def do_on_node(tasks: Sequence[Task], known: dict[str, dict[str, str]], crew: Crew) -> Record:
    """Do a lot of tasks in a worker process of its own; returns what happened.

    Raises:
        OutputError, DependencyError, AvatarkitError: as `Pool.run`.
    """
    until_s, record = time.monotonic() + BUSY_PATIENCE_S, Record(known)
    while (tasks := Pool(crew, workers=1, watcher=record).run(tasks)) and time.monotonic() < until_s:
        time.sleep(1)
    return record


def run_on_ray(tasks: Iterable[Task], crew: Crew, watcher: Watcher, *, lot: int = 1) -> list[Task]:
    """Do tasks on the cluster that RAY_ADDRESS names, or that is connected, or on this machine alone.

    Args:
        tasks: to be done.
        crew: what workers open.
        watcher: hears of everything, at the end of each lot.
        lot: tasks that one worker does, one after the other.

    Returns:
        Tasks that another process had for too long.

    Raises:
        DependencyError: Ray is not installed, or the cluster lost a task again and again.
        OutputError, AvatarkitError: as `Pool.run`.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise DependencyError("--runner ray: Ray is not installed; pip install 'avatarkit[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(do_on_node)
    shared = ray.put(crew)
    every = list(tasks)
    todo, busy = [every[at : at + lot] for at in range(0, len(every), lot)][::-1], []
    flying: dict[Any, list[Task]] = {}
    try:
        while todo or flying:
            room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while todo and len(flying) < room:
                some = todo.pop()
                known = {task.name: dict(watcher.poisoned(task.name)) for task in some}
                flying[remote.remote(some, known, shared)] = some
            ready, _ = ray.wait(list(flying), timeout=1.0)
            for reference in ready:
                some = flying.pop(reference)
                ended = _report(_record(ray, reference, crew, some), watcher)
                busy += [task for task in some if task.name not in ended]
            watcher.tick()
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)
    return busy


def _record(ray: Any, reference: Any, crew: Crew, tasks: Sequence[Task]) -> Record:
    try:
        record: Record = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AvatarkitError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        what = f"Ray lost {crew.task} {tasks[0].name} {RETRIES} times"
        raise DependencyError(f"{what}: {_first_line(error)}") from error
    return record


def _report(record: Record, watcher: Watcher) -> set[str]:
    """Report what happened on a node; returns the names of the tasks that are done."""
    for name, arguments in record.calls:
        getattr(watcher, name)(*arguments)
    results = [arguments[0] for name, arguments in record.calls if name == "ended"]
    return {result.task.name for result in results if result.how == "done"}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
