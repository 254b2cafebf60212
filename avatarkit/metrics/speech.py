"""How well lips go with sound: opening of the mouth against loudness, frame by frame. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lips_with_sound", "loudness"]

WINDOW_S = 0.06
SHIFT_S = 0.2
"""Sound and lips may be apart by this much: lips open before a sound comes, and recordings are seldom exact."""
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
    """Pearson's correlation, -1 to 1, of the mouth's opening (F,) and the loudness (F,), both at `rate` a second.

    The best one of all shifts up to `SHIFT_S` either way. None for less than a second, or where either stands still.
    """
    opening, loud = np.asarray(mouth, np.float64), np.asarray(loud_db, np.float64)
    if len(opening) < max(5, rate) or opening.std() == 0 or loud.std() == 0:
        return None
    reach = min(round(SHIFT_S * rate), len(opening) // 4)
    found = []
    for shift in range(-reach, reach + 1):
        a = opening[max(0, shift) : len(opening) + min(0, shift)]
        b = loud[max(0, -shift) : len(loud) + min(0, -shift)]
        if a.std() > 0 and b.std() > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return max(found, default=None)
