"""One request budget for all worker processes: a token bucket in a small file, guarded by a lock file."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock

from avatarkit.atomic import write_whole
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.reading import read_json

LONGEST_HOLD_S = 3600.0
"""Sites that ask to try again later mean an hour at most."""

_LOCK_TIMEOUT_S = 60.0
_LONGEST_NAP_S = 5.0


@dataclass(frozen=True)
class _State:
    """What all workers share.

    Args:
        tokens: fetches that may begin now; a fraction is one that is on its way.
        updated_s: when `tokens` was counted, seconds since 1970.
        hold_until_s: nothing begins before this moment.
        strikes: back-offs since the last success.
    """

    tokens: float
    updated_s: float
    hold_until_s: float = 0.0
    strikes: int = 0


class Limiter:
    """Lets `per_hour` fetches begin in an hour, over all processes that name the same file.

    The file survives the run, so a run that is begun again does not get a fresh budget. On a cluster it lies on the
    shared file system. The clock is the wall clock, which processes and machines have in common; a clock that is
    set back costs nothing but the tokens gathered meanwhile.

    Args:
        path: the file; `path` + ".lock" is the lock.
        per_hour: fetches an hour.
        burst: fetches that may begin at once after a pause.
        hold_s: the first back-off, seconds; each further one without a success between is twice as long.
        clock: seconds since 1970.
        sleep: waits for so many seconds.
        rng: draws the jitter; timing only, no result depends on it.

    Raises:
        UsageError: a rate or a burst that lets nothing through.
    """

    def __init__(
        self,
        path: Path,
        per_hour: float,
        *,
        burst: int = 1,
        hold_s: float = 60.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if not per_hour > 0 or burst < 1:
            raise UsageError(f"a limit of {per_hour:g} fetches an hour, {burst} at once, lets nothing through")
        self.path, self.per_hour, self.burst, self.hold_s = Path(path), float(per_hour), burst, hold_s
        self._clock, self._sleep, self._rng = clock, sleep, rng or random.Random()

    def __reduce__(self) -> tuple[Callable[..., Limiter], tuple[Any, ...]]:
        """Processes get a limiter on the same file; clocks and draws are theirs."""
        return _rebuild, (self.path, self.per_hour, self.burst, self.hold_s)

    def acquire(self, stop: Callable[[], bool] | None = None) -> float:
        """Wait until one more fetch may begin, and count it.

        Args:
            stop: asked between naps; when true the wait ends with InterruptedError.

        Returns:
            The seconds waited.

        Raises:
            InterruptedError: `stop` said so; nothing was counted.
            OutputError: the file cannot be written.
        """
        began_s = self._clock()
        while True:
            if stop is not None and stop():
                raise InterruptedError("the wait for the rate limit was stopped")
            wait_s = self._take()
            if wait_s <= 0:
                return max(0.0, self._clock() - began_s)
            self._sleep(min(wait_s, _LONGEST_NAP_S))

    def back_off(self) -> float:
        """Hold all workers back, after "try again later" or a bot check; returns the seconds until they go on.

        Several workers that are refused at once are one refusal: while a hold lasts it is not made longer. Gathered
        tokens are lost, so that the workers come back one by one.
        """
        with self._locked():
            now_s, state = self._clock(), self._read()
            if now_s >= state.hold_until_s:
                strikes = state.strikes + 1
                longest_s = min(LONGEST_HOLD_S, self.hold_s * 2.0 ** (strikes - 1))
                state = _State(0.0, now_s, now_s + longest_s * self._rng.uniform(0.75, 1.25), strikes)
                self._write(state)
            return state.hold_until_s - now_s

    def succeeded(self) -> None:
        """Say that the site answers again: the next back-off is a short one."""
        with self._locked():
            state = self._read()
            if state.strikes and self._clock() >= state.hold_until_s:
                self._write(_State(state.tokens, state.updated_s, state.hold_until_s, 0))

    def _take(self) -> float:
        """Take a token if there is one; returns the seconds until there may be one, 0 when it was taken."""
        with self._locked():
            now_s, state = self._clock(), self._read()
            if now_s < state.hold_until_s:
                # Jitter of its own for each worker, or all would knock in the same second.
                return state.hold_until_s - now_s + self._rng.uniform(0.0, 0.02 * self.hold_s)
            since_s = max(state.updated_s, state.hold_until_s)
            gained = max(0.0, now_s - since_s) * self.per_hour / 3600.0
            tokens = min(float(self.burst), state.tokens + gained)
            taken = tokens >= 1.0 - 1e-9
            self._write(_State(tokens - taken, now_s, state.hold_until_s, state.strikes))
            return 0.0 if taken else (1.0 - tokens) * 3600.0 / self.per_hour

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock; it is held for the moment of one reading and writing."""
        lock = filelock.FileLock(self.path.with_name(self.path.name + ".lock"), timeout=_LOCK_TIMEOUT_S)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> _State:
        """The shared state; a new or damaged file begins with a full burst."""
        fresh = _State(float(self.burst), self._clock())
        try:
            values = read_json(self.path)
            tokens, updated_s, hold_until_s = (float(values[name]) for name in ("tokens", "updated_s", "hold_until_s"))
            strikes = int(values["strikes"])
        except (OSError, ValueError, TypeError, KeyError, InputError):
            return fresh
        # A hold further away than any we set comes from a clock that was wrong.
        sane = hold_until_s - self._clock() <= 1.25 * LONGEST_HOLD_S
        return _State(tokens, updated_s, hold_until_s if sane else 0.0, strikes)

    def _write(self, state: _State) -> None:
        """Replace the file as a whole: a process killed here leaves the old state."""
        try:
            write_whole(self.path, json.dumps(asdict(state)).encode())
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _rebuild(path: Path, per_hour: float, burst: int, hold_s: float) -> Limiter:
    return Limiter(path, per_hour, burst=burst, hold_s=hold_s)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: the rate limit cannot be kept: {error.strerror or error}; choose another --output")
