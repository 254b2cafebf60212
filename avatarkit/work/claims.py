"""Locks of tasks: who is at work on what, on all machines that share a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from avatarkit.errors import OutputError
from avatarkit.work.task import Busy


@contextmanager
def claim(folder: Path, task: str) -> Iterator[None]:
    """Hold a task while a `with` statement lasts; the lock ends with the process at the latest.

    Raises:
        Busy: another living process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{task}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise Busy(task) from error
    except OSError as error:
        raise OutputError(f"{lock.lock_file}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
