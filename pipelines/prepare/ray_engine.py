"""Shards on a Ray cluster: each is a task that runs the local pool with one worker, so that all rules are the same.

A node or worker that dies costs its shards' current tries; Ray starts them elsewhere. Outputs lie on a file system that
all nodes share.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avatarkit.data.ledger import VideoResult
from avatarkit.data.plan import PlannedShard
from avatarkit.errors import AvatarkitError, DependencyError
from avatarkit.pipelines.prepare.pool import MOST_CRASHES, Pool, Watcher
from avatarkit.pipelines.prepare.shard_work import Setup
from avatarkit.pipelines.prepare.worker import Ended
from avatarkit.prepare.config import PrepareConfig

BUSY_PATIENCE_S = 60.0
"""A task that was begun elsewhere may hold its shard's lock until its machine is known to be dead."""
RETRIES = 10


@dataclass
class Record:
    """Watches over one shard where it is made, and brings home what happened.

    calls: method and arguments of each report, to be told to the run's own watcher.
    """

    known: dict[str, str]
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    crashes: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)

    def opened(self, advice: tuple[str, ...]) -> None:
        """Note it."""
        self.calls.append(("opened", (advice,)))

    def started(self, shard: str, worker: str) -> None:
        """Note it."""
        self.calls.append(("started", (shard, worker)))

    def begun(self, shard: str, video: str, worker: str) -> None:
        """Note it."""
        self.calls.append(("begun", (shard, video, worker)))

    def crashed(self, shard: str, video: str, reason: str, worker: str, detail: str) -> None:
        """Note it, and count."""
        self.crashes[video] += 1
        self.reasons[video] = reason
        self.calls.append(("crashed", (shard, video, reason, worker, detail)))

    def poisoned(self, shard: str) -> Mapping[str, str]:
        """Videos that have crashed too often, here or before."""
        here = {video: self.reasons[video] for video, count in self.crashes.items() if count >= MOST_CRASHES}
        return {**self.known, **here}

    def done(self, shard: str, result: VideoResult, worker: str) -> None:
        """Note it."""
        self.calls.append(("done", (shard, result, worker)))

    def sealed(self, ended: Ended, worker: str) -> None:
        """Note it."""
        self.calls.append(("sealed", (ended, worker)))

    def deferred(self, ended: Ended) -> None:
        """Note it."""
        self.calls.append(("deferred", (ended,)))

    def may_reserve(self, size: int, reserved: int, *, oldest: bool) -> bool:
        """There is no quota on a cluster."""
        return True

    def tick(self) -> None:
        """Nothing is due."""


@dataclass(frozen=True)
class Order:
    """All that a task needs."""

    setup: Setup
    config: PrepareConfig
    processor: str
    tools: Mapping[str, str]


def make_on_node(shard: PlannedShard, known: dict[str, str], order: Order) -> Record:
    """Make one shard in a worker process of its own; returns what happened.

    Raises:
        OutputError, DependencyError, AvatarkitError: as `Pool.run`.
    """
    until_s = time.monotonic() + BUSY_PATIENCE_S
    while True:
        record = Record(known)
        pool = Pool(
            order.setup, order.config, order.processor, workers=1, watcher=record, tools=order.tools
        )
        if not pool.run([shard]) or time.monotonic() >= until_s:
            return record
        time.sleep(1)


def run_on_ray(shards: Iterable[PlannedShard], order: Order, watcher: Watcher) -> list[str]:
    """Make shards on the cluster that RAY_ADDRESS names, or that is connected, or on this machine alone.

    Returns:
        Names of shards that another process had for too long.

    Raises:
        DependencyError: Ray is not installed, or the cluster lost a shard again and again.
        OutputError, AvatarkitError: as `Pool.run`.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise DependencyError("--engine ray: Ray is not installed; pip install 'avatarkit[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(make_on_node)
    shared = ray.put(order)
    todo, busy = list(shards)[::-1], []
    flying: dict[Any, PlannedShard] = {}
    try:
        while todo or flying:
            room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while todo and len(flying) < room:
                shard = todo.pop()
                flying[remote.remote(shard, dict(watcher.poisoned(shard.name)), shared)] = shard
            ready, _ = ray.wait(list(flying), timeout=1.0)
            for reference in ready:
                shard = flying.pop(reference)
                if not _tell(_result(ray, reference, shard), watcher):
                    busy.append(shard.name)
            watcher.tick()
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)
    return busy


def _result(ray: Any, reference: Any, shard: PlannedShard) -> Record:
    try:
        record: Record = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AvatarkitError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise DependencyError(f"Ray lost shard {shard.name} {RETRIES} times: {_first_line(error)}") from error
    return record


def _tell(record: Record, watcher: Watcher) -> bool:
    """Report what happened on a node; returns whether the shard is sealed."""
    for name, arguments in record.calls:
        getattr(watcher, name)(*arguments)
    return any(name == "sealed" for name, _ in record.calls)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
