"""Smoothing without lag, and filling of gaps, along the frames of one shot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.2
"""Length in seconds of the Savitzky-Golay window (second order, centred: it looks as far ahead as back)."""
EYE_WINDOW_S = 0.12
"""The same for lids and gaze: a blink lasts 0.1 to 0.15 s and must keep its depth."""
ORDER = 2


def window_frames(seconds: float, rate: float, available: int) -> int:
    """Odd number of frames nearest to the window, at least 5, at most all there are; 1 means no smoothing."""
    frames = max(5, 2 * round(seconds * rate / 2.0 - 0.5) + 1)
    longest = available if available % 2 else available - 1
    frames = min(frames, longest)
    return frames if frames > ORDER else 1


def savitzky_golay(rows: NDArray[np.floating[Any]], window: int) -> NDArray[np.float64]:
    """Rows (N, ...) smoothed along the first axis by a centred second-order fit; the ends use their own.

    As scipy's `savgol_filter`, whose import takes longer than tracking a hundred frames.
    """
    values = np.asarray(rows, np.float64)
    count, half = len(values), window // 2
    if window <= ORDER or count < window:
        return values.copy()
    powers = np.arange(-half, half + 1.0)[:, None] ** np.arange(ORDER + 1)
    # Row k: what the fit to a window says at its place k.
    fit = powers @ np.linalg.pinv(powers)
    flat = values.reshape(count, -1)
    result = np.empty_like(flat)
    result[half : count - half] = sum(fit[half, k] * flat[k : count - window + 1 + k] for k in range(window))
    result[:half], result[count - half :] = fit[:half] @ flat[:window], fit[half + 1 :] @ flat[-window:]
    return result.reshape(values.shape)


def gap_ends(present: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """For every row the present rows before and after it, and the share of the latter in a linear blend.

    A present row names itself; before the first and after the last present row both names are that row.
    """
    rows = np.arange(len(present))
    known = rows[present]
    before = known[np.clip(np.searchsorted(known, rows, side="right") - 1, 0, len(known) - 1)]
    after = known[np.clip(np.searchsorted(known, rows, side="left"), 0, len(known) - 1)]
    share = np.where(after > before, (rows - before) / np.maximum(after - before, 1), 0.0)
    return before, after, share
