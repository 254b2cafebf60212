"""Checkpoints are written while the training goes on: by a thread, from a copy of the state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class Writer:
    """Does one piece of work at a time in a thread of its own; a `with` statement ends when the last one is done.

    What the work raises is raised by the next call; at the end of the `with` statement unless another error ends it.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(self, work: Callable[[], object]) -> None:
        """Wait for the work before, then start this one."""
        self.wait()
        self._thread = threading.Thread(target=self._do, args=(work,), name="checkpoint-writer")
        self._thread.start()

    def check(self) -> None:
        """Raise the error of work that has ended; does not wait."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Until the work is done."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except BaseException:
            if error is None:
                raise

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised again where the work was asked for
            self._error = error
