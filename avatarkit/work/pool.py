"""Worker processes on this machine: hands out tasks, and outlives workers that crash or hang.

A step whose worker died, or gave no sign of life for too long, is tried once more; after that it is left to the worker
as poisoned, with the reason `crashed` or `timeout`, and the rest of its task is done without it. Only this parent
counts: when the whole run is killed, nobody saw a crash, and no step is blamed.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from avatarkit.errors import AvatarkitError, DependencyError
from avatarkit.work import worker as messages
from avatarkit.work.process import END_S, WorkerProcess
from avatarkit.work.task import Crew, Result, Task, Turn, Watcher

START_LIMIT_S = 600.0
MOST_FAILED_STARTS = 3
MOST_TASK_DEATHS = 5
"""Deaths of workers in one task outside of any step; then something is wrong with the machine."""
MOST_NETWORK_FAILURES = 10
TICK_S = 0.5
SHORT_S = 5.0
"""A worker whose last task took less gets its next one before it has ended this one, where the crew allows that."""


@dataclass
class _Turn:
    """A task in the queue."""

    task: Task
    last_chance: bool
    deaths: int = 0


@dataclass
class _Worker:
    """One process and what it is at."""

    name: str
    slot: int
    process: WorkerProcess
    deadline_s: float
    limit_s: float = START_LIMIT_S
    ready: bool = False
    turn: _Turn | None = None
    ahead: _Turn | None = None
    last_s: float = SHORT_S
    order: int = 0
    step: str | None = None
    reserved: dict[str, int] = field(default_factory=dict)
    asks: int | None = None


class Pool:
    """Does tasks in `workers` processes of a crew; `watcher` hears of everything."""

    def __init__(self, crew: Crew, *, workers: int, watcher: Watcher) -> None:
        self._crew, self._count, self._watcher = crew, workers, watcher
        self._workers: list[_Worker] = []
        self._queue: deque[_Turn] = deque()
        self._number = 0
        self._orders = 0
        self._failed_starts = 0
        self._network_failures = 0
        self._last_failure = ""
        self._second_turns: list[_Turn] = []
        self._busy: list[Task] = []

    def run(self, tasks: Iterable[Task]) -> list[Task]:
        """Do tasks; returns those that another process has.

        On any error, Ctrl-C too, all workers are ended and have ended when this returns; what is done stays.

        Raises:
            OutputError: the output cannot be written.
            DependencyError: workers cannot start, or the network is down.
            AvatarkitError: whatever else stopped a worker.
        """
        self._queue = deque(_Turn(task, last_chance=False) for task in tasks)
        self._busy = []
        try:
            while self._queue or self._second_turns or any(item.turn for item in self._workers):
                self._refill()
                self._assign()
                self._listen()
                self._check_deadlines()
                self._watcher.tick()
        finally:
            self._stop_all()
        return self._busy

    def _refill(self) -> None:
        """Deferred tasks get their second turn when nothing else is left; workers are started as needed."""
        if not self._queue and self._second_turns and not any(item.turn for item in self._workers):
            if self._network_failures == len(self._second_turns):
                self._network_is_down()  # nothing came through since the first of them
            self._queue.extend(self._second_turns)
            self._second_turns = []
        wanted = min(self._count, len(self._queue) + sum(item.turn is not None for item in self._workers))
        while len(self._workers) < wanted:
            self._workers.append(self._start())

    def _start(self) -> _Worker:
        self._number += 1
        name = f"worker-{self._number}"
        slot = min(set(range(self._count)) - {item.slot for item in self._workers})
        environment = self._crew.environments[slot % len(self._crew.environments)]
        return _Worker(name, slot, WorkerProcess(name, self._crew, environment), time.monotonic() + START_LIMIT_S)

    def _assign(self) -> None:
        for item in self._workers:
            if item.ready and item.turn is None and self._queue:
                self._started(item, self._send(item))
        for item in self._workers:
            # Waiting for this process, which the workers keep from the processor, takes longer than its answer.
            short = self._crew.ahead and item.last_s < SHORT_S
            if short and item.turn is not None and item.ahead is None and len(self._queue) > self._count:
                item.ahead = self._send(item)

    def _send(self, one: _Worker) -> _Turn:
        turn = self._queue.popleft()
        one.process.send(Turn(turn.task, self._watcher.poisoned(turn.task.name), turn.last_chance))
        return turn

    def _started(self, one: _Worker, turn: _Turn) -> None:
        self._orders += 1
        one.turn, one.step, one.order = turn, None, self._orders
        self._alive(one, START_LIMIT_S)
        self._watcher.started(turn.task.name, one.name)

    def _listen(self) -> None:
        pipes: dict[Any, _Worker] = {item.process.pipe: item for item in self._workers}
        for pipe in wait(list(pipes), timeout=TICK_S):
            item = pipes[pipe]
            try:
                while item.process.pipe.poll():
                    self._take(item, item.process.pipe.recv())
            except (EOFError, OSError):
                self._died(item)
        self._grant()

    def _take(self, one: _Worker, message: messages.Message) -> None:
        self._alive(one)
        turn = one.turn
        if isinstance(message, messages.Failed):
            raise messages.ERRORS[message.kind](message.text)
        if isinstance(message, messages.Ready):
            self._check_tools(message)
            self._watcher.opened(message.advice)
            one.ready, self._failed_starts = True, 0
        elif turn is None:
            return
        elif isinstance(message, messages.Begun):
            one.step = message.step
            self._alive(one, message.limit_s)
            self._watcher.begun(turn.task.name, message.step, one.name)
        elif isinstance(message, messages.Alive):
            if message.progress is not None:
                self._watcher.alive(turn.task.name, message.progress, one.name)
        elif isinstance(message, messages.Reserve):
            one.asks = message.size
        elif isinstance(message, messages.Done):
            one.step = None
            self._alive(one, START_LIMIT_S)
            self._watcher.done(turn.task.name, message.step, message.value, one.name)
        elif isinstance(message, Result):
            self._ended(one, turn, message)

    def _ended(self, one: _Worker, turn: _Turn, result: Result) -> None:
        one.turn, one.step, one.reserved, one.asks, one.last_s = None, None, {}, None, result.seconds
        if result.how == "busy":
            self._busy.append(turn.task)
        else:
            self._judge(one, turn, result)
        if one.ahead is not None:
            following, one.ahead = one.ahead, None
            self._started(one, following)

    def _judge(self, one: _Worker, turn: _Turn, result: Result) -> None:
        self._watcher.ended(result, one.name)
        if result.how == "done":
            self._network_failures = 0
        else:
            self._second_turns.append(_Turn(turn.task, last_chance=True))
            self._network_failures += all(kind == "network" for _, kind, _ in result.failures)
            self._last_failure = f"{result.failures[0][0]}: {result.failures[0][2]}"
            if self._network_failures >= MOST_NETWORK_FAILURES:
                self._network_is_down()

    def _network_is_down(self) -> None:
        raise DependencyError(
            f"{self._network_failures} {self._crew.task}s in a row could not be fetched, the network seems down"
            f" ({self._last_failure}); run the same command again when it is up"
        )

    def _grant(self) -> None:
        """Answer those who wait for room; the oldest task always gets it, so that somebody can always go on."""
        asking = sorted((one for one in self._workers if one.asks is not None), key=lambda one: one.order)
        if not asking:
            return
        oldest = min(one.order for one in self._workers if one.turn is not None)
        for one in asking:
            self._alive(one)
            reserved = sum(sum(other.reserved.values()) for other in self._workers)
            if self._watcher.may_reserve(one.asks or 0, reserved, oldest=one.order == oldest):
                one.reserved[one.step or ""] = one.asks or 0
                one.asks = None
                one.process.send(messages.GRANTED)

    def _check_deadlines(self) -> None:
        now_s = time.monotonic()
        for item in [item for item in self._workers if item.deadline_s < now_s]:
            if item.turn is None and item.ready:
                self._alive(item)
                continue
            item.process.end()
            self._lost(item, "timeout", f"gave no sign of life for {item.limit_s:.0f} s")

    def _died(self, one: _Worker) -> None:
        code = one.process.end(grace_s=END_S)
        if code is not None and code < 0:
            names = {number.value: number.name for number in signal.Signals}
            detail = f"ended by {names.get(-code, f'signal {-code}')}"
            self._lost(one, "crashed", detail, terminated=code == -signal.SIGTERM)
        else:
            self._lost(one, "crashed", f"ended with code {code}")

    def _lost(self, one: _Worker, reason: str, detail: str, *, terminated: bool = False) -> None:
        """A worker is gone; its task goes back to the front of the queue."""
        self._workers.remove(one)
        turn = one.turn
        if one.ahead is not None:
            self._queue.appendleft(one.ahead)
        if turn is None:
            self._failed_starts += not one.ready
            if self._failed_starts >= MOST_FAILED_STARTS:
                raise DependencyError(
                    f"{self._failed_starts} workers in a row could not start: {detail}; avatarkit doctor may know why"
                )
            return
        if one.step is not None and not terminated:
            self._watcher.crashed(turn.task.name, one.step, reason, one.name, detail)
        else:
            # Nobody's fault that is known: somebody ended the worker, or it died between two steps.
            turn.deaths += 1
            if turn.deaths >= MOST_TASK_DEATHS:
                raise AvatarkitError(
                    f"{self._crew.task} {turn.task.name}: its worker died {turn.deaths} times outside of any"
                    f" {self._crew.step} ({detail}); check memory and disk, then run the same command again"
                )
        self._queue.appendleft(turn)

    def _check_tools(self, message: messages.Ready) -> None:
        here, before = dict(message.names), self._crew.names
        names = [name for name in sorted({*here, *before}) if here.get(name) != before.get(name)]
        if names:
            raise DependencyError(
                f"{names[0]} is {here.get(names[0])} here, but the output was begun with {before.get(names[0])}; their"
                " results do not mix: use the same packages and weights, or choose another output"
            )

    def _alive(self, one: _Worker, limit_s: float | None = None) -> None:
        one.limit_s = one.limit_s if limit_s is None else limit_s
        one.deadline_s = time.monotonic() + one.limit_s

    def _stop_all(self) -> None:
        """Workers without a task are asked to end, others are ended."""
        for item in self._workers:
            if item.ready and item.turn is None:
                item.process.send(messages.QUIT)
        for item in self._workers:
            item.process.end(grace_s=END_S if item.ready and item.turn is None else 0.0)
        self._workers = []
