"""A worker process: opens its tools once, does the tasks it is given, and ends with whoever started it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from avatarkit.errors import AvatarkitError, DependencyError, InputError, OutputError, UsageError
from avatarkit.work.task import Busy, Crew, Deferred, Result, Turn, Worker, find

ALIVE_EVERY_S = 2.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ready:
    """The tools are open: their names and hashes, and what would be better."""

    names: Mapping[str, str]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Begun:
    """A step's turn has come; after `limit_s` seconds without a further message it counts as hanging."""

    step: str
    limit_s: float


@dataclass(frozen=True)
class Alive:
    """A sign of life, with how far a step is."""

    progress: Any = None


@dataclass(frozen=True)
class Reserve:
    """A request to keep so many more bytes; the worker waits for `GRANTED`."""

    size: int


@dataclass(frozen=True)
class Failed:
    """Nothing more can be done, here or in any worker: kind and text of the error."""

    kind: str
    text: str


@dataclass(frozen=True)
class Done:
    """A step has ended."""

    step: str
    value: Any


Message = Ready | Begun | Alive | Reserve | Done | Result | Failed
GRANTED, QUIT = "granted", "quit"
ERRORS: dict[str, type[AvatarkitError]] = {
    error.__name__: error for error in (AvatarkitError, DependencyError, InputError, OutputError, UsageError)
}


def worker_main(pipe: Connection, crew: Crew) -> None:
    """Do tasks until asked to quit; the target of a spawned process. `pipe` leads to whoever started it."""
    _settle()
    try:
        with contextlib.closing(find(crew.opener)(crew.setup)) as worker:
            pipe.send(Ready(dict(worker.names), tuple(worker.advice)))
            while (turn := pipe.recv()) != QUIT:
                pipe.send(_serve(turn, worker, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # whoever started it is gone
    except MemoryError:
        os._exit(1)  # a worker without memory can do nothing in order; the step under way is tried once more
    except AvatarkitError as error:
        kind = next((name for name, kind in ERRORS.items() if type(error) is kind), _nearest(error))
        pipe.send(Failed(kind, str(error)))


def _nearest(error: AvatarkitError) -> str:
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in ERRORS), "AvatarkitError")


def _serve(turn: Turn, worker: Worker, pipe: Connection) -> Result:
    start_s = time.perf_counter()
    try:
        value = worker.work(turn, PipeLink(pipe))
    except Busy:
        return Result(turn.task, "busy", None, time.perf_counter() - start_s)
    except Deferred as deferred:
        return Result(turn.task, "deferred", None, time.perf_counter() - start_s, deferred.failures)
    return Result(turn.task, "done", value, time.perf_counter() - start_s)


class PipeLink:
    """Tells the other end of a pipe how the work goes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last_s = 0.0

    def begin(self, step: str, limit_s: float) -> None:
        """Say that a step's turn has come."""
        self._pipe.send(Begun(step, limit_s))
        self._last_s = time.monotonic()

    def alive(self, progress: Any = None) -> bool:
        """Give a sign of life, now and then; never asks to stop: workers are stopped from outside."""
        if time.monotonic() - self._last_s >= ALIVE_EVERY_S:
            self._pipe.send(Alive(progress))
            self._last_s = time.monotonic()
        return False

    def done(self, step: str, value: Any) -> None:
        """Say that a step has ended."""
        self._pipe.send(Done(step, value))

    def reserve(self, size: int) -> None:
        """Ask for room and wait for it."""
        self._pipe.send(Reserve(size))
        answer = self._pipe.recv()
        if answer != GRANTED:
            raise EOFError("asked to quit while waiting for room")


def _settle() -> None:
    """A group of its own, deaf to Ctrl-C, bound to live no longer than the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C reaches a terminal's whole group. A decoder that it ended would look like a video that is cut off.
    with contextlib.suppress(OSError, AttributeError):
        os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _end_group()


def _end_group() -> None:
    """End this process and its children at once."""
    with contextlib.suppress(OSError, AttributeError):
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
