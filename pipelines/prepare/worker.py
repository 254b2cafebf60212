"""A worker process: opens the tools once, makes the shards it is told to, and ends with whoever started it."""

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
from typing import Literal

from avatarkit.data.ledger import VideoResult
from avatarkit.errors import AvatarkitError, DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.prepare.processor import Processor, find_opener
from avatarkit.pipelines.prepare.shard_work import Busy, Deferred, Setup, ShardTask, make_shard
from avatarkit.prepare.config import PrepareConfig

ALIVE_EVERY_S = 2.0
_PR_SET_PDEATHSIG = 1
THREAD_SETTINGS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
"""Environment of a worker. Sums in another order differ in their last bits: one thread, however many workers."""


@dataclass(frozen=True)
class Ready:
    """The tools are open: their names and hashes, and what would be better."""

    names: Mapping[str, str]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Begun:
    """A video's turn has come; after `limit_s` seconds without a further message it counts as hanging."""

    video: str
    limit_s: float


@dataclass(frozen=True)
class Alive:
    """A sign of life."""


@dataclass(frozen=True)
class Reserve:
    """A request to keep so many more bytes of originals; the worker waits for `Granted`."""

    size: int


@dataclass(frozen=True)
class Ended:
    """A shard's turn is over: sealed, deferred, or another process has it; results of its videos, seconds it took."""

    shard: str
    how: Literal["sealed", "deferred", "busy"]
    results: tuple[VideoResult, ...]
    seconds: float
    failures: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Failed:
    """Nothing more can be made, here or in any worker: kind and text of the error."""

    kind: str
    text: str


@dataclass(frozen=True)
class Done:
    """A video has ended."""

    result: VideoResult


Message = Ready | Begun | Alive | Reserve | Done | Ended | Failed
GRANTED, QUIT = "granted", "quit"
ERRORS: dict[str, type[AvatarkitError]] = {
    error.__name__: error for error in (AvatarkitError, DependencyError, InputError, OutputError, UsageError)
}


def worker_main(pipe: Connection, setup: Setup, config: PrepareConfig, processor: str) -> None:
    """Serve shards until told to quit; the target of a spawned process.

    Args:
        pipe: to whoever started it.
        setup: common to all shards.
        config, processor: what to open.
    """
    _settle()
    try:
        with contextlib.closing(find_opener(processor)(config)) as opened:
            pipe.send(Ready(dict(opened.names), tuple(opened.advice)))
            while (task := pipe.recv()) != QUIT:
                pipe.send(_serve(task, setup, opened, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # whoever started it is gone
    except MemoryError:
        os._exit(1)  # a worker without memory can do nothing in order; the video under way is tried once more
    except AvatarkitError as error:
        kind = next((name for name, kind in ERRORS.items() if type(error) is kind), _nearest(error))
        pipe.send(Failed(kind, str(error)))


def _nearest(error: AvatarkitError) -> str:
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in ERRORS), "AvatarkitError")


def _serve(task: ShardTask, setup: Setup, processor: Processor, pipe: Connection) -> Ended:
    link, start_s = PipeLink(pipe), time.perf_counter()
    name = task.shard.name
    try:
        outcome = make_shard(task, setup, processor, link)
    except Busy:
        return Ended(name, "busy", (), time.perf_counter() - start_s)
    took_s = time.perf_counter() - start_s
    if isinstance(outcome, Deferred):
        return Ended(name, "deferred", tuple(link.results), took_s, outcome.failures)
    return Ended(name, "sealed", tuple(link.results), took_s)


class PipeLink:
    """Tells the other end of a pipe how the work goes."""

    def __init__(self, pipe: Connection) -> None:
        self.results: list[VideoResult] = []
        self._pipe = pipe
        self._last_s = 0.0

    def begin(self, video: str, limit_s: float) -> None:
        """Say that a video's turn has come."""
        self._pipe.send(Begun(video, limit_s))
        self._last_s = time.monotonic()

    def alive(self) -> bool:
        """Give a sign of life, now and then; never asks to stop: workers are stopped from outside."""
        if time.monotonic() - self._last_s >= ALIVE_EVERY_S:
            self._pipe.send(Alive())
            self._last_s = time.monotonic()
        return False

    def done(self, result: VideoResult) -> None:
        """Say that a video has ended."""
        self.results.append(result)
        self._pipe.send(Done(result))

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
