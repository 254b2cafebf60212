"""Frame-rate arithmetic: exact values, and properties over all standard rates."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.errors import UsageError
from avatarkit.media.rate import (
    STANDARD_RATES,
    RateEstimator,
    format_rate,
    frame_count,
    nearest_standard,
    parse_rate,
    round_half_up,
)

NTSC = Fraction(30000, 1001)
rates = st.sampled_from(STANDARD_RATES)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("30000/1001", NTSC),
        ("29.97", NTSC),
        ("29.970", NTSC),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        (" 30 ", Fraction(30)),
        ("30.0", Fraction(30)),
        ("299/10", Fraction(299, 10)),
    ],
)
def test_parse_rate(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "0", "-25", "1/0", "100000", "30/", "nan", "inf"])
def test_parse_rate_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="frame rate"):
        parse_rate(text)


@given(rates)
def test_format_and_parse_are_inverse(rate: Fraction) -> None:
    assert parse_rate(format_rate(rate)) == rate


def test_format_rate() -> None:
    assert format_rate(NTSC) == "30000/1001"
    assert format_rate(Fraction(25)) == "25"


def test_no_drift_after_a_million_frames() -> None:
    assert frame_count(1_000_000 / NTSC, NTSC) == 1_000_000


@given(rates, st.integers(1, 10_000_000))
def test_frame_count_inverts_duration(rate: Fraction, count: int) -> None:
    assert frame_count(count / rate, rate) == count


@given(rates, st.fractions(0, 1000), st.fractions(0, 1000))
def test_frame_count_is_monotone(rate: Fraction, a: Fraction, b: Fraction) -> None:
    assert frame_count(min(a, b), rate) <= frame_count(max(a, b), rate)


def test_frame_count_edges() -> None:
    assert frame_count(Fraction(0), NTSC) == 0
    assert frame_count(Fraction(1, 1000), NTSC) == 1
    assert frame_count(Fraction(5005, 1000), NTSC) == 150


@pytest.mark.parametrize(
    ("value", "rounded"), [("1/2", 1), ("3/2", 2), ("-1/2", -1), ("49/100", 0), ("5/2", 3)]
)
def test_round_half_up(value: str, rounded: int) -> None:
    assert round_half_up(Fraction(value)) == rounded


@given(rates, st.integers(2, 400), st.sampled_from([1000, 90000, 15360, 600, 1_000_000]))
def test_estimator_finds_a_rate_behind_rounded_ticks(rate: Fraction, count: int, ticks_per_s: int) -> None:
    estimator = RateEstimator(Fraction(1, ticks_per_s), [rate])
    for index in range(count):
        estimator.add(round_half_up(index / rate * ticks_per_s))
    estimate = estimator.result()
    assert estimate is not None
    assert not estimate.variable
    # A short clip with coarse ticks may fit two rates; the one found then gives the same frame times.
    assert abs((count - 1) / estimate.rate - (count - 1) / rate) <= Fraction(2, ticks_per_s)


def test_estimator_without_declaration_tells_ntsc_from_30_in_milliseconds() -> None:
    estimator = RateEstimator(Fraction(1, 1000))
    for index in range(300):
        estimator.add(round_half_up(index / NTSC * 1000))
    assert estimator.result().rate == NTSC  # type: ignore[union-attr]


def test_estimator_takes_an_unusual_constant_rate_exactly() -> None:
    estimator = RateEstimator(Fraction(1, 100))
    for index in range(10):
        estimator.add(index * 3)
    estimate = estimator.result()
    assert (estimate.rate, estimate.variable) == (Fraction(100, 3), False)  # type: ignore[union-attr]


def test_estimator_calls_dropped_frames_variable() -> None:
    times = [Fraction(i, 30) for i in range(60) if i % 3 != 1]
    estimator = RateEstimator(Fraction(1, 30))
    for time in times:
        estimator.add(int(time * 30))
    assert estimator.result().variable  # type: ignore[union-attr]


def test_constant_rate_of_jittering_camera() -> None:
    jitter = [0, 4, -3, 2, -4, 1]
    times = [Fraction(3003 * i + jitter[i % 6], 90000) for i in range(200)]
    estimator = RateEstimator(Fraction(1, 90000))
    for time in times:
        estimator.add(int(time * 90000))
    assert estimator.result().rate == NTSC  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "nearest"), [("22.13", 24), ("29.5", 30), ("7", 7), ("0.2", 1), ("33.33", 33), ("500", 120)]
)
def test_nearest_standard(value: str, nearest: int) -> None:
    assert abs(nearest_standard(Fraction(value)) - nearest) < Fraction(1, 5)


def test_one_frame_has_only_the_declared_rate() -> None:
    declared = RateEstimator(Fraction(1, 1000), [Fraction(24)])
    declared.add(0)
    assert declared.result().rate == 24  # type: ignore[union-attr]
    unknown = RateEstimator(Fraction(1, 1000))
    unknown.add(0)
    assert unknown.result() is None
