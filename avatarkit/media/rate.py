"""Frame rates as exact fractions: parsing, frame times and counts, and the choice of a constant rate.

Times are seconds as `Fraction`; rates are frames per second as `Fraction`. Nothing here rounds through a
float, so frame 1 000 000 of a 30000/1001 stream has its exact time.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from avatarkit.errors import UsageError

NTSC_RATES = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
STANDARD_RATES = tuple(
    sorted(NTSC_RATES + tuple(Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120)))
)
MAX_RATE = Fraction(1000)
_MAX_DISTINCT_INTERVALS = 4096


def parse_rate(text: str) -> Fraction:
    """Read a frame rate such as `30000/1001`, `29.97` or `25`.

    Decimals that stand for a 1000/1001 rate (23.976, 29.97, 59.94) become that exact fraction.
    Raises UsageError for anything that is not a rate above 0 and up to 1000.
    """
    try:
        value = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"{text!r} is not a frame rate: give a number such as 25, 29.97 or 30000/1001"
        ) from None
    if not 0 < value <= MAX_RATE:
        raise UsageError(f"frame rate {text!r} is out of range: give a rate above 0 and up to {MAX_RATE}")
    if "/" not in text:
        for ntsc in NTSC_RATES:
            if abs(value - ntsc) < Fraction(1, 200):
                return ntsc
    return value


def format_rate(rate: Fraction) -> str:
    """Write a rate so that `parse_rate` and ffmpeg read exactly it: `30000/1001`, `25`."""
    return str(rate)


def frame_count(duration: Fraction, rate: Fraction) -> int:
    """Frames that `duration` seconds take at `rate`: rounded to the nearest, at least one if there is any
    time.
    """
    return max(1, round_half_up(duration * rate)) if duration > 0 else 0


def round_half_up(value: Fraction) -> int:
    """Nearest integer; halves go away from zero as in ffmpeg's fps filter."""
    sign = -1 if value < 0 else 1
    return sign * ((2 * abs(value.numerator) + value.denominator) // (2 * value.denominator))


def nearest_standard(rate: Fraction) -> Fraction:
    """The standard rate closest to `rate` in ratio, or the nearest whole rate where none is within 9 %."""
    best = min(STANDARD_RATES, key=lambda r: max(r / rate, rate / r))
    if max(best / rate, rate / best) <= Fraction(109, 100):
        return best
    return Fraction(min(120, max(1, round_half_up(rate))))


@dataclass(frozen=True)
class RateEstimate:
    """The constant rate for a stream, and whether its frames already lie on it."""

    rate: Fraction
    variable: bool


class RateEstimator:
    """Finds the rate of a stream from its sorted presentation times, in memory that does not grow.

    `time_base` is the length of one tick in seconds; `declared` are rates that the container names. Times
    that sit within one tick (and a quarter frame) of the grid of a rate are constant at that rate.
    """

    def __init__(self, time_base: Fraction, declared: Iterable[Fraction] = ()) -> None:
        self._time_base = time_base
        self._declared = tuple(dict.fromkeys(r for r in declared if 0 < r <= MAX_RATE))
        # rate -> largest deviation so far, in units of 1 / (rate.numerator * time_base.numerator) ticks
        self._deviation: dict[Fraction, int] = dict.fromkeys((*self._declared, *STANDARD_RATES), 0)
        self._intervals: Counter[int] = Counter()
        self._first = self._last = 0
        self.count = 0

    def add(self, ticks: int) -> None:
        """Take the next presentation time, in ticks; it must not lie before the one given last."""
        if self.count == 0:
            self._first = ticks
        else:
            interval = ticks - self._last
            if interval in self._intervals or len(self._intervals) < _MAX_DISTINCT_INTERVALS:
                self._intervals[interval] += 1
            self._check_grids(ticks)
        self._last = ticks
        self.count += 1

    def _check_grids(self, ticks: int) -> None:
        base, elapsed, index = self._time_base, ticks - self._first, self.count
        for rate, worst in list(self._deviation.items()):
            unit = rate.numerator * base.numerator
            frame = rate.denominator * base.denominator
            deviation = abs(elapsed * unit - index * frame)
            if deviation > unit or 4 * deviation > frame:
                del self._deviation[rate]
            elif deviation > worst:
                self._deviation[rate] = deviation

    def result(self) -> RateEstimate | None:
        """The estimate, or None where fewer than two frames and no declared rate leave nothing to go by."""
        if self.count < 2:
            return RateEstimate(self._declared[0], False) if self._declared else None
        kept = self._deviation
        declared_order = {rate: i for i, rate in enumerate(self._declared)}
        interval = next(iter(self._intervals)) if len(self._intervals) == 1 else 0
        # Four equal steps hardly come from rounding another rate to ticks: they beat an inexact declaration.
        if interval > 0 and self.count >= 4 and 0 not in kept.values():
            uniform = 1 / (interval * self._time_base)
            if uniform <= MAX_RATE:
                return RateEstimate(uniform, False)
        if kept:
            return RateEstimate(
                min(
                    kept,
                    key=lambda r: (
                        kept[r] != 0,
                        declared_order.get(r, len(kept)),
                        Fraction(kept[r], r.numerator),
                    ),
                ),
                False,
            )
        return RateEstimate(self._common_rate(), True)

    def _common_rate(self) -> Fraction:
        positive = {ticks: n for ticks, n in self._intervals.items() if ticks > 0}
        if not positive:
            return self._declared[0] if self._declared else Fraction(25)
        # Steps within 15 % count as one: cameras jitter, and millisecond ticks turn 29.97 into 33s and 34s.
        steps = sorted(positive)
        sums = list(itertools.accumulate((positive[ticks] for ticks in steps), initial=0))
        spans = [
            (bisect.bisect_left(steps, ticks * 0.85), bisect.bisect_right(steps, ticks * 1.15))
            for ticks in steps
        ]
        density = [sums[right] - sums[left] for left, right in spans]
        # The shortest common step: with every third frame dropped, double steps are as many as single ones.
        chosen = next(i for i, count in enumerate(density) if 2 * count >= max(density))
        left, right = spans[chosen]
        near = steps[left:right]
        mean = Fraction(sum(ticks * positive[ticks] for ticks in near), density[chosen])
        return nearest_standard(1 / (mean * self._time_base))
