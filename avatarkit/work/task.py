"""What tasks are made of: what a worker opens once, what it gets for each task, and what comes back."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from avatarkit.errors import UsageError

Runner = Literal["local", "ray", "slurm"]
"""This machine, a Ray cluster, or a SLURM array."""
MOST_CRASHES = 2
"""Tries of a step whose worker died or hung; after that it is left out, and the rest of its task is done."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
"""Environment of a worker. Sums in another order differ in their last bits: one thread, however many workers."""


@dataclass(frozen=True)
class Task:
    """A unit of work; its name is its own within a run, its payload pickles."""

    name: str
    payload: Any


@dataclass(frozen=True)
class Turn:
    """A task's turn at a worker.

    poisoned: steps that have crashed or hung too often, and how. last_chance: what fails for now is final.
    """

    task: Task
    poisoned: Mapping[str, str] = field(default_factory=dict)
    last_chance: bool = True


@dataclass(frozen=True)
class Result:
    """A task's turn is over.

    how: "done"; "deferred", to be tried again at the end, with failures: step, kind, detail; or "busy", since another
    process has the task. value: what the worker gave for it. seconds: that the turn took.
    """

    task: Task
    how: Literal["done", "deferred", "busy"]
    value: Any
    seconds: float
    failures: tuple[tuple[str, str, str], ...] = ()


class Busy(Exception):
    """Another living process is at work on the task."""


class Deferred(Exception):
    """A task that must wait: steps that failed for now, each with its kind and detail."""

    def __init__(self, failures: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__(failures)
        self.failures = failures


class Link(Protocol):
    """What the work tells whoever watches over it."""

    def begin(self, step: str, limit_s: float) -> None:
        """A step's turn has come; `limit_s` seconds without another sign of life mean that it hangs."""

    def alive(self, progress: Any = None) -> bool:
        """A sign of life, with how far a step is; returns whether to stop."""

    def done(self, step: str, value: Any) -> None:
        """A step has ended with a value, which pickles."""

    def reserve(self, size: int) -> None:
        """Wait until `size` more bytes may be kept."""


class Worker(Protocol):
    """Opened once per process; does one task after the other.

    Attributes:
        names: of its tools, and hashes of their weights; the same in all workers, or their results do not mix.
        advice: what would be better, and by which command.
    """

    names: Mapping[str, str]
    advice: tuple[str, ...]

    def work(self, turn: Turn, link: Link) -> Any:
        """Do a task and leave a mark that it is done; what is done already is left as it is.

        Raises:
            Busy: another process has the task.
            Deferred: it may succeed later; not raised at a last chance.
            AvatarkitError: nothing more can be done, here or in any worker.
        """

    def close(self) -> None:
        """Release what is open."""


@dataclass(frozen=True)
class Crew:
    """What every worker of a run opens; it pickles.

    opener: "module:function", called with `setup`, gives a `Worker`. names: that each must have. environments: of the
    processes, dealt out in turn. task: what one is called in messages, step: the same. ahead: whether a worker may be
    sent a task before it has ended another, which saves a moment between short ones; not if its tasks reserve room.
    """

    opener: str
    setup: Any
    names: Mapping[str, str] = field(default_factory=dict)
    environments: tuple[Mapping[str, str], ...] = (ONE_THREAD,)
    task: str = "task"
    step: str = "step"
    ahead: bool = False


class Watcher(Protocol):
    """What a run reports to: its book-keeping and its progress."""

    def opened(self, advice: tuple[str, ...]) -> None:
        """A worker has opened its tools; what would be better."""

    def started(self, task: str, worker: str) -> None:
        """A task has begun."""

    def begun(self, task: str, step: str, worker: str) -> None:
        """A step has begun."""

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """A worker died ("crashed") or was ended ("timeout") at a step."""

    def poisoned(self, task: str) -> Mapping[str, str]:
        """Steps of a task that have crashed too often, and how."""

    def alive(self, task: str, progress: Any, worker: str) -> None:
        """A worker says how far it is."""

    def done(self, task: str, step: str, value: Any, worker: str) -> None:
        """A step has ended."""

    def ended(self, result: Result, worker: str) -> None:
        """A task is done or deferred."""

    def may_reserve(self, size: int, reserved: int, *, oldest: bool) -> bool:
        """Whether so many more bytes may be kept, beside `reserved` on their way."""

    def tick(self) -> None:
        """Called about twice a second."""


def find(name: str) -> Callable[..., Any]:
    """The function that "module:function" names.

    Raises:
        UsageError: there is no such module or function.
    """
    module, _, function = name.partition(":")
    try:
        result: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error
    return result
