"""One writer of a dataset at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from avatarkit.errors import OutputError

LOCK = ".writing.lock"
"""The file that is locked; it stays, the lock ends with the process at the latest."""


@contextlib.contextmanager
def hold(dataset: Path) -> Iterator[None]:
    """Hold a dataset's folder, which exists, against other writers while a `with` statement lasts.

    Raises:
        OutputError: another process writes there, or nobody may.
    """
    import filelock

    lock = filelock.FileLock(dataset / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise OutputError(f"{dataset}: another run is writing there; wait for it, or choose another folder") from error
    except OSError as error:
        raise OutputError(f"{dataset}: cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
