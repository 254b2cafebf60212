"""Processes that draw frames beside this one: threads of one Python spend a third of their time waiting for each other.

They are forked: what they need is there at once, in memory that is shared. Pictures come back through memory that both
have. A process that ends by itself, or hangs, is done without. All end with this one, however it ends.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["CAN_FORK", "Forks"]

Given = TypeVar("Given")
Pictures = tuple[NDArray[np.uint8] | None, ...]
Shapes = tuple[tuple[int, ...] | None, ...]

CAN_FORK = sys.platform == "linux"
"""Elsewhere processes cannot be forked, or the system's own libraries do not bear it."""
LONGEST_S = 60.0
"""A process that has not answered for so long hangs."""


@dataclass(frozen=True)
class _Fork:
    process: BaseProcess
    pipe: Connection
    memory: mmap.mmap


class Forks(Generic[Given]):
    """Calls a function in forked processes and here, wherever it is free, for as many threads as there are of both.

    Args:
        function: of something small that can be pickled, to uint8 arrays or None. Forks see it as it is on entering.
        number: of processes. most_bytes: of all arrays of one answer.

    Use as a context manager. What the function raises is raised by the call.
    """

    def __init__(self, function: Callable[[Given], Pictures], number: int, most_bytes: int) -> None:
        self._function, self._number, self._most_bytes = function, number, most_bytes
        self._free: SimpleQueue[_Fork | None] = SimpleQueue()
        self._forks: list[_Fork] = []

    def __enter__(self) -> Forks[Given]:
        import cv2

        # OpenCV's own threads would be missing after a fork, and are of no use where all processors are busy.
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        # A worker of somebody's pool may have no processes of its own.
        number = 0 if multiprocessing.current_process().daemon else self._number
        with suppress(OSError):  # too many processes or no memory: done without
            for _ in range(number):
                self._forks.append(self._forked())
        for fork in (*self._forks, None):
            self._free.put(fork)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import cv2

        for fork in self._forks:
            fork.process.kill()
            fork.process.join()
            fork.pipe.close()
        cv2.setNumThreads(self._threads)

    def __call__(self, given: Given) -> Pictures:
        """The function's answer."""
        fork = self._free.get()
        if fork is None:
            try:
                return self._function(given)
            finally:
                self._free.put(None)
        answer = _asked(fork, given)
        if answer is None:
            # It is not asked again.
            fork.process.kill()
            return self._function(given)
        try:
            if isinstance(answer, BaseException):
                raise answer
            return tuple(array.copy() if array is not None else None for array in _arrays(fork.memory, answer))
        finally:
            self._free.put(fork)

    def _forked(self) -> _Fork:
        ours, theirs = multiprocessing.Pipe()
        memory = mmap.mmap(-1, self._most_bytes)
        process = multiprocessing.get_context("fork").Process(target=self._serve, args=(theirs, memory), daemon=True)
        # Requests to end are this process's to heed; the forked one is born with them blocked, and ends with this one.
        requests = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, requests)
        try:
            with warnings.catch_warnings():
                # From Python 3.12 on: threads are lost in a fork. Those that it needs it makes itself.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        return _Fork(process, ours, memory)

    def _serve(self, pipe: Connection, memory: mmap.mmap) -> None:
        """What a forked process does until nobody asks any more."""
        try:
            # Files of the other process must end when it closes them: its encoder waits for that.
            for name in os.listdir("/proc/self/fd"):
                if int(name) > 2 and int(name) != pipe.fileno():
                    with suppress(OSError):
                        os.close(int(name))
            while True:
                given: Any = pipe.recv()
                try:
                    pictures = self._function(given)
                    shapes: Shapes = tuple(None if picture is None else picture.shape for picture in pictures)
                    for place, picture in zip(_arrays(memory, shapes), pictures, strict=True):
                        if place is not None and picture is not None:
                            np.copyto(place, picture)
                    pipe.send(shapes)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other process raises it
                    pipe.send(error)
        finally:
            # No clean-up: files and temporary folders are the other process's.
            os._exit(0)


def _asked(fork: _Fork, given: Any) -> Shapes | BaseException | None:
    """A forked process's answer; None where it has ended or hangs."""
    try:
        fork.pipe.send(given)
        if not fork.pipe.poll(LONGEST_S):
            return None
        answer: Shapes | BaseException = fork.pipe.recv()
    except (EOFError, OSError):
        return None
    return answer


def _arrays(memory: mmap.mmap, shapes: Shapes) -> Sequence[NDArray[np.uint8] | None]:
    """Arrays of these shapes, one after another in the memory."""
    result: list[NDArray[np.uint8] | None] = []
    begin = 0
    for shape in shapes:
        if shape is None:
            result.append(None)
            continue
        count = int(np.prod(shape))
        result.append(np.frombuffer(memory, np.uint8, count, begin).reshape(shape))
        begin += count
    return result
