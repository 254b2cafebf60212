"""Smoothing without lag, gaps, and rows kept on disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.motion.columns import Spool, chunks
from avatarkit.motion.smooth import EYE_WINDOW_S, WINDOW_S, gap_ends, savitzky_golay, window_frames


@pytest.mark.parametrize(
    ("seconds", "rate", "available", "frames"),
    [(0.2, 25, 100, 5), (0.2, 30, 100, 5), (0.2, 60, 200, 13), (1.0, 25, 100, 25), (0.01, 25, 100, 5)],
)
def test_window_length(seconds: float, rate: float, available: int, frames: int) -> None:
    assert window_frames(seconds, rate, available) == frames


@given(st.floats(0.01, 2.0), st.floats(1.0, 240.0), st.integers(1, 500))
def test_window_is_odd_and_fits(seconds: float, rate: float, available: int) -> None:
    frames = window_frames(seconds, rate, available)
    assert frames % 2 == 1
    assert 1 <= frames <= available
    assert frames != 2


@pytest.mark.parametrize("window", [5, 7, 13])
@given(st.tuples(*[st.floats(-10, 10)] * 3))
def test_quadratics_pass_unchanged_ends_included(window: int, parts: tuple[float, float, float]) -> None:
    t = np.arange(30.0)
    rows = np.stack([parts[0] + parts[1] * t + parts[2] * t**2, t], axis=1)
    np.testing.assert_allclose(savitzky_golay(rows, window), rows, atol=1e-7)


@pytest.mark.parametrize("window", [5, 7, 13])
@pytest.mark.parametrize("centre", [15, 20])
def test_a_pulse_stays_where_it_is(window: int, centre: int) -> None:
    t = np.arange(40.0)
    pulse = np.exp(-((t - centre) ** 2) / 8.0)
    smooth = savitzky_golay(pulse, window)
    assert int(np.argmax(smooth)) == centre
    reach = np.arange(1, 9)
    np.testing.assert_allclose(smooth[centre - reach], smooth[centre + reach], atol=1e-9)
    # The middle of its half height, too, is where it was.
    above = np.flatnonzero(smooth > 0.5 * smooth.max())
    assert above.mean() == centre


def test_noise_shrinks_and_the_input_is_kept() -> None:
    noise = np.random.default_rng(0).normal(0.0, 1.0, (400, 3))
    before = noise.copy()
    assert savitzky_golay(noise, 9).std() < 0.6
    np.testing.assert_array_equal(noise, before)


@pytest.mark.parametrize(("count", "window"), [(1, 1), (2, 1), (2, 5), (4, 5)])
def test_too_few_rows_pass_unchanged(count: int, window: int) -> None:
    rows = np.random.default_rng(0).normal(size=(count, 2))
    np.testing.assert_array_equal(savitzky_golay(rows, window), rows)


def test_a_blink_keeps_most_of_its_depth() -> None:
    """A blink of five frames at 30 frames a second."""
    blink = np.ones(31)
    blink[13:18] = [0.5, 0.1, 0.0, 0.1, 0.5]
    smooth = savitzky_golay(blink, window_frames(EYE_WINDOW_S, 30, 31))
    assert smooth.min() < 0.2
    assert EYE_WINDOW_S <= WINDOW_S


def test_gap_ends() -> None:
    present = np.array([False, True, False, False, False, True, True, False])
    before, after, share = gap_ends(present)
    np.testing.assert_array_equal(before, [1, 1, 1, 1, 1, 5, 6, 6])
    np.testing.assert_array_equal(after, [1, 1, 5, 5, 5, 5, 6, 6])
    np.testing.assert_allclose(share, [0, 0, 0.25, 0.5, 0.75, 0, 0, 0])


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_gap_ends_are_the_nearest_present_rows(flags: list[bool]) -> None:
    present = np.array(flags)
    before, after, share = gap_ends(present)
    assert present[before].all()
    assert present[after].all()
    rows = np.arange(len(present))
    np.testing.assert_array_equal(before[present], rows[present])
    np.testing.assert_array_equal(after[present], rows[present])
    assert np.all((share >= 0) & (share < 1))
    for row in rows[~present]:
        low, high = sorted((before[row], after[row]))
        assert not present[low + 1 : high].any()


def test_spool_gives_rows_back() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
    with Spool((4, 3)) as spool:
        assert spool.array().shape == (0, 4, 3)
        spool.append(rows[0])
        spool.append(rows[1:5])
        np.testing.assert_array_equal(spool.array(), rows[:5])
        spool.append(rows[5:])
        assert len(spool) == 7
        np.testing.assert_array_equal(spool.array(), rows)


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 60))
def test_chunks_cover_everything_once(start: int, length: int, size: int) -> None:
    ranges = list(chunks(start, start + length, size))
    covered = [row for low, high in ranges for row in range(low, high)]
    assert covered == list(range(start, start + length))
    assert all(0 < high - low <= size for low, high in ranges)


@pytest.mark.parametrize("window", [3, 5, 13])
@pytest.mark.parametrize("shape", [(13,), (40, 3), (25, 4, 2)])
def test_as_scipy_smooths(window: int, shape: tuple[int, ...]) -> None:
    from scipy.signal import savgol_filter

    rows = np.random.default_rng(window).normal(size=shape)
    expected = savgol_filter(rows, window, 2, axis=0, mode="interp")
    np.testing.assert_allclose(savitzky_golay(rows, window), expected, atol=1e-12)
