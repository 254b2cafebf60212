"""One worker process as its parent sees it: start, pipe, end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from avatarkit.work.task import Crew
from avatarkit.work.worker import worker_main

END_S = 10.0


class WorkerProcess:
    """A process that runs `worker_main`, and the parent's end of its pipe."""

    def __init__(self, name: str, crew: Crew, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=worker_main, args=(theirs, crew), name=name)
        with _environment(environment):
            self._process.start()
        theirs.close()
        self._ended = False

    def send(self, message: Any) -> None:
        """Send a message; a worker that is gone gets none, and is found by its pipe's end."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def end(self, *, grace_s: float = 0.0) -> int | None:
        """End the process and all programs that it started, after waiting `grace_s` for it to end by itself.

        Returns:
            Its exit code, negative for a signal, None where it is not known.
        """
        if not self._ended:
            # Not yet waited for, its number cannot belong to anybody else; its group has the same number.
            wait([self._process.sentinel], timeout=grace_s)
            if self._process.pid is not None:
                with contextlib.suppress(OSError, AttributeError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.join(END_S)
            self.pipe.close()
            self._ended = True
        return self._process.exitcode


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
