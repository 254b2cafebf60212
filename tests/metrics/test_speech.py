"""Lips against sound on made-up sound: right ones, late ones, other ones."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.metrics.speech import lips_with_sound, loudness

RATE, HZ = 25.0, 16000


def voice(frames: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mouth's opening, samples that are as loud as it is open, and the frames' times: syllables within phrases."""
    times = np.arange(frames) / RATE
    phrase = (np.sin(2 * np.pi * 0.4 * times + 1) + np.sin(2 * np.pi * 0.9 * times)).clip(0.02, 1)
    level = phrase * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * times))
    clock = np.arange(int(frames / RATE * HZ)) / HZ
    return level, np.interp(clock, times, level) * np.sin(2 * np.pi * 220 * clock), times


def test_loudness_is_that_of_a_sine() -> None:
    clock = np.arange(HZ) / HZ
    seen = loudness(0.5 * np.sin(2 * np.pi * 1000 * clock), HZ, np.array([0.5, 5.0]))
    assert seen[0] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    assert seen[1] == pytest.approx(-80)


def test_lips_that_go_with_the_sound() -> None:
    level, samples, times = voice()
    loud = loudness(samples, HZ, times)
    own = lips_with_sound(level, loud, RATE)
    late = lips_with_sound(np.roll(level, 3), loud, RATE)
    a_second_late = lips_with_sound(np.roll(level, 25), loud, RATE)
    other = lips_with_sound(np.random.default_rng(0).normal(size=len(level)), loud, RATE)
    assert own is not None
    assert late is not None
    assert a_second_late is not None
    assert other is not None
    assert own > 0.8
    assert late > 0.8  # within what is allowed between lips and sound
    assert a_second_late < 0.5
    assert other < 0.5


def test_each_pause_of_the_lips_costs() -> None:
    level, samples, times = voice()
    loud = loudness(samples, HZ, times)
    stills = [np.arange(150) % 25 >= moving for moving in (25, 19, 12, 3)]
    seen = []
    for still in stills:
        moving = np.where(still, 0, np.arange(150))
        seen.append(lips_with_sound(level[np.maximum.accumulate(moving)], loud, RATE) or 0.0)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0] - 0.2


def test_nothing_is_said_of_silence_or_a_moment() -> None:
    level, samples, times = voice()
    loud = loudness(samples, HZ, times)
    assert lips_with_sound(level, np.full(150, -80.0), RATE) is None
    assert lips_with_sound(np.zeros(150), loud, RATE) is None
    assert lips_with_sound(level[:10], loud[:10], RATE) is None
