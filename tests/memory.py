"""What a call costs, told so that nothing before it and nothing beside it counts."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from avatarkit.runtime import _high_water_bytes


@dataclass(frozen=True)
class Cost:
    """seconds: processor time of the calling thread, which a busy machine does not lengthen as it does the clock's. It
    cannot see other threads, child processes, nor waiting: for a lock, a disk, a network or a sleep.
    """

    peak_bytes: int | None
    seconds: float

    @property
    def memory_bytes(self) -> int:
        """The most that was held at once, beyond what was there before; skips the test where that cannot be told."""
        if self.peak_bytes is None:
            pytest.skip("the system's record of the peak cannot begin anew here")
        return self.peak_bytes


def cost(act: Callable[[], object], *, warm: bool = True) -> Cost:
    """What a call costs that has run once before: what it imports and keeps for later is no part of it.

    Args:
        act: what is measured; it must do the same each time, and should hold nothing that it has read.
        warm: run it once before. Without, memory that was freed before is not given back to the system either, which
            takes longer than a short call: for limits far above what imports take.
    """
    if warm:
        act()
        gc.collect()
        with suppress(OSError, AttributeError):  # no glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _mark()
    began_s = time.thread_time()
    act()
    seconds = time.thread_time() - began_s
    after = _high_water_bytes("self")
    return Cost(None if before is None or after is None else after - before, seconds)


def can_be_set_back() -> bool:
    """Whether the system's record of this process' peak can begin anew; if not, only what exceeds it is seen."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _mark() -> int | None:
    """The memory of now, at which the peak begins anew; None where it cannot."""
    return _high_water_bytes("self") if can_be_set_back() else None
