"""Figures of blinks and gaze: exact on made-up tracks, and each sees the fault that it is for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.metrics.eyes import (
    DEG_PER_WIDTH,
    SHUT,
    blink_figures,
    blink_moments,
    gaze_figures,
    measurable_eyes,
    shown_irises,
)

RATE = 25.0


def opening(*blinks: int, left: float = 0.1, frames: int = 100) -> NDArray[np.float64]:
    """An eye that is open by 0.3, and for a moment by `left` of that around each of the frames."""
    track = np.full(frames, 0.3)
    for frame in blinks:
        track[frame - 1 : frame + 2] = [0.18, 0.3 * left, 0.18]
    return track


def test_blink_is_found_at_its_deepest_frame() -> None:
    assert blink_moments(opening(30, 70), RATE) == [(30, pytest.approx(0.1)), (70, pytest.approx(0.1))]


def test_eye_that_looks_down_for_long_does_not_blink() -> None:
    track = opening()
    track[20:60] = 0.1
    assert blink_moments(track, RATE) == []


def test_blinks_that_arrive_are_followed() -> None:
    both = np.stack([opening(30), opening(30)], axis=1)
    late = np.stack([opening(31), opening(29)], axis=1)
    figures = blink_figures(both, late, RATE)
    assert (figures.blinks, figures.followed) == (2, 1.0)


def test_eye_left_half_open_is_seen() -> None:
    both = np.stack([opening(30), opening(30)], axis=1)
    one_half = np.stack([opening(30), opening(30, left=0.4)], axis=1)
    assert blink_figures(both, one_half, RATE).followed == 0.5
    assert blink_figures(both, both[:, :1].repeat(2, 1) * 0 + 0.3, RATE).followed == 0.0


def test_shut_eyes_that_are_reported_a_little_open_follow_and_half_open_ones_do_not() -> None:
    both = np.stack([opening(30, left=0.15)] * 2, axis=1)
    shut_and_half = np.stack([opening(30, left=0.4), opening(30, left=0.6)], axis=1)
    assert blink_figures(both, shut_and_half, RATE).followed == 0.0
    assert blink_figures(both, shut_and_half, RATE, shut=SHUT).followed == 0.5
    never = np.full_like(both, 0.3)
    assert blink_figures(both, never, RATE, shut=SHUT).followed == 0.0


def test_blinks_of_averted_eyes_do_not_count() -> None:
    both = np.stack([opening(30, 60, left=0.15)] * 2, axis=1)
    one_open = both.copy()
    one_open[:, 0] = 0.3
    turn = np.where(np.arange(100) < 45, 0.0, 0.5)
    figures = blink_figures(both, one_open, RATE, measurable=measurable_eyes(turn))
    assert (figures.blinks, figures.followed) == (3, pytest.approx(2 / 3))
    assert measurable_eyes(np.array([0.0, 0.5, -0.5, 0.7, -0.7])).tolist() == [
        [True, True], [False, True], [True, False], [False, False], [False, False],
    ]  # fmt: skip


def test_without_blinks_there_is_no_share() -> None:
    still = np.stack([opening(), opening()], axis=1)
    assert blink_figures(still, still, RATE).followed is None


def look(horizontal: float, vertical: float, frames: int = 60) -> NDArray[np.float64]:
    t = np.arange(frames)
    path = np.stack([horizontal * np.sin(t / 5), vertical * np.cos(t / 7)], axis=1)
    return np.repeat(path[:, None], 2, axis=1)


def test_gaze_that_arrives_correlates_and_eyes_agree() -> None:
    figures = gaze_figures(look(0.1, 0.05), 0.6 * look(0.1, 0.05))
    assert figures.horizontal == pytest.approx(1.0)
    assert figures.vertical == pytest.approx(1.0)
    assert figures.apart_deg == pytest.approx(0.0)


def test_gaze_turned_over_is_seen() -> None:
    figures = gaze_figures(look(0.1, 0.05), look(0.1, 0.05) * [1.0, -1.0])
    assert figures.horizontal == pytest.approx(1.0)
    assert figures.vertical == pytest.approx(-1.0)


def test_gaze_of_a_driver_who_looks_ahead_has_no_correlation() -> None:
    assert gaze_figures(look(0.0, 0.05), look(0.1, 0.05)).horizontal is None


def test_diverging_eyes_are_seen_in_degrees() -> None:
    squint = look(0.1, 0.05)
    squint[30:40, 0, 0] += 0.1
    assert gaze_figures(look(0.1, 0.05), squint).apart_deg == pytest.approx(0.1 * DEG_PER_WIDTH)


def test_irises_behind_shut_lids_count_for_nothing() -> None:
    driver = np.stack([opening(20, frames=60)] * 2, axis=1)
    result = np.stack([opening(frames=60), opening(50, frames=60)], axis=1)
    shown = shown_irises(driver, result, RATE)
    assert sorted(np.flatnonzero(~shown)) == [20, 50]
    guessed = look(0.1, 0.05)
    guessed[~shown, 0] += 0.2
    assert gaze_figures(look(0.1, 0.05)[shown], guessed[shown]).apart_deg == pytest.approx(0.0)
    guessed[30:40, 0, 0] += 0.2
    assert gaze_figures(look(0.1, 0.05)[shown], guessed[shown]).apart_deg > 20.0
