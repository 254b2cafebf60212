"""What a call costs, told so that nothing before it and nothing beside it counts."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from avatarkit.runtime import _high_water_bytes


@dataclass(frozen=True)
class Cost:
    """memory_bytes: the most that was held at once, beyond what was there before. seconds: processor time of the
    calling thread, which a busy machine does not lengthen as it does the clock's.
    """

    memory_bytes: int
    seconds: float


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
    return Cost((_high_water_bytes("self") or 0) - before, seconds)


def can_be_set_back() -> bool:
    """Whether the system's record of this process' peak can begin anew; if not, only what exceeds it is seen."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _mark() -> int:
    """The peak so far, which is the memory of now where it can be set back; 0 without /proc, and after it then too."""
    can_be_set_back()
    return _high_water_bytes("self") or 0
