"""Requests to end: Ctrl-C, SIGTERM, a closed terminal. Each ends the command cleanly and soon, with its own code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType

from avatarkit.atomic import discard_all, forget_promises, kept_promises
from avatarkit.runtime import end_children

GRACE_S = 1.5
"""For the clean-up; it takes longer where the main thread is within a long call of native code."""
INTERRUPTED = 130


def line() -> str:
    """What is said of a command that was interrupted."""
    complete = ", ".join(map(str, kept_promises()))
    return f"interrupted: {complete} is complete" if complete else "interrupted: nothing was written"


class Interrupts:
    """In a `with` statement requests to end raise KeyboardInterrupt; `number` is the first one's, None before.

    A thread hears of each at once. Where the command has not ended `GRACE_S` later, because native code holds the main
    thread or a library has swallowed the exception, the thread ends children and unfinished files, and the process. A
    training, which sets handlers of its own to save first, is left to itself. Outside the main thread, where Python
    cannot set handlers, nothing is changed.

    last: nothing but the process's end follows: requests change nothing any more, instead of what they did before.
    """

    def __init__(self, *, last: bool = False) -> None:
        self._last = last
        self.number: int | None = None
        self.over = False
        """Set when the command has ended: a request that comes later changes nothing, and the process ends anyway."""
        self._previous: dict[int, object] = {}
        self._hooks = sys.unraisablehook, sys.excepthook
        self._ended = threading.Event()
        self._pipe: tuple[int, int] | None = None

    def __enter__(self) -> Interrupts:
        forget_promises()
        if threading.current_thread() is threading.main_thread():
            self._hooks = sys.unraisablehook, sys.excepthook
            sys.unraisablehook, sys.excepthook = _say_nothing_of_requests, _print_no_request
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            threading.Thread(target=self._listen, args=(self._pipe[0],), name="signals", daemon=True).start()
            signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    self._previous[number] = signal.signal(number, self._heed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if self._last else handler)  # type: ignore[arg-type]
        if self._pipe is not None:
            sys.unraisablehook, sys.excepthook = self._hooks
            signal.set_wakeup_fd(-1)
            os.close(self._pipe[1])

    def code(self, code: int) -> int:
        """The exit code of a command that ended with `code`: that of the signal where one ended it."""
        return 128 + self.number if self.number is not None and code == INTERRUPTED else code

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self.over:
            return
        self.number = self.number or number
        for other in self._previous:  # a second request must not cut the clean-up short
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    def _listen(self, pipe: int) -> None:
        while heard := os.read(pipe, 1):
            number = heard[0]
            if number not in self._previous:
                continue
            self.number = self.number or number
            if self.over:
                continue
            if signal.getsignal(number) in (self._heed, signal.SIG_IGN) and not self._ended.wait(GRACE_S):
                leave(128 + self.number, line())
        os.close(pipe)


def _say_nothing_of_requests(event: sys.UnraisableHookArgs) -> None:
    """A request that came within a destructor or callback is lost there, and told by the thread that hears of each."""
    if event.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(event)


def _print_no_request(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Native code prints what goes wrong while it imports another module, a request too, and goes on with an error."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def leave(code: int, last: str = "") -> None:
    """End the process now, its children too.

    Not by Python's own end: threads that still draw would come back into an interpreter that is half gone, and abort.
    """
    end_children()
    discard_all()  # a request between the making of a file and the block that removes it leaves that to us
    with contextlib.suppress(OSError, ValueError):
        if last:
            sys.stderr.write(last + "\n")
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
