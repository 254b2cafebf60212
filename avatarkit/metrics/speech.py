"""How well lips go with sound: motion of the mouth against loudness, frame by frame. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["lips_with_sound", "loudness"]

WINDOW_S = 0.06
SHIFT_S = 0.2
"""Sound and lips may be apart by this much: lips open before a sound comes, and recordings are seldom exact."""
SYLLABLE_S = 0.12
"""Standard deviation of the smoothing over time: while a syllable sounds, the mouth opens and closes."""
SILENCE = 1e-4


def loudness(samples: NDArray[np.floating[Any]], sample_rate: int, times_s: NDArray[np.floating[Any]]) -> Any:
    """Root mean square of mono samples in [-1, 1] around each time, in dB of full scale; (F,) float64, -80 at least.

    Args:
        times_s: seconds since the first sample; silence where the sound does not reach.
    """
    half = max(1, round(WINDOW_S * sample_rate / 2))
    energy = np.concatenate([[0.0], np.cumsum(np.asarray(samples, np.float64) ** 2)])
    middle = np.round(np.asarray(times_s) * sample_rate).astype(np.int64)
    first, last = ((middle + step).clip(0, len(samples)) for step in (-half, half))
    return 20 * np.log10(np.sqrt((energy[last] - energy[first]) / (2 * half)).clip(SILENCE))


def lips_with_sound(
    mouth: NDArray[np.floating[Any]], loud_db: NDArray[np.floating[Any]], rate: float
) -> float | None:
    """Pearson's correlation, -1 to 1, of how fast the mouth (F,) opens or closes and the loudness (F,).

    Both are at `rate` a second, and smoothed. Speed, not opening: of five talking heads it told their own sound from
    that of others in more cases, for a mouth that stays open is silent. The best of all shifts up to `SHIFT_S` either
    way. None for less than a second, or where either stands still.
    """
    opening, loud = np.asarray(mouth, np.float64), np.asarray(loud_db, np.float64)
    if len(opening) < max(5, rate) or opening.std() == 0 or loud.std() == 0:
        return None
    speed, loud = (gaussian_filter1d(item, SYLLABLE_S * rate) for item in (np.abs(np.gradient(opening)), loud))
    reach = min(round(SHIFT_S * rate), len(speed) // 4)
    found = []
    for shift in range(-reach, reach + 1):
        a = speed[max(0, shift) : len(speed) + min(0, shift)]
        b = loud[max(0, -shift) : len(loud) + min(0, -shift)]
        if a.std() > 0 and b.std() > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return max(found, default=None)
