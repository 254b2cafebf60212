"""Requests to end that are heeded between two steps, so that a training is saved before it leaves."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopRequests:
    """In a `with` statement SIGTERM, SIGINT and SIGHUP only set `received`; a second Ctrl-C interrupts at once.

    A repeated SIGTERM does not: launchers and schedulers send it to all processes, and pass it on as well.

    Outside the main thread, where Python cannot set handlers, nothing is changed.
    """

    _NAMES = ("SIGTERM", "SIGINT", "SIGHUP")

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for name in self._NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    self._previous[number] = signal.signal(number, self._heed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _heed(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received == name == "SIGINT":
            raise KeyboardInterrupt
        self.received = self.received or name
