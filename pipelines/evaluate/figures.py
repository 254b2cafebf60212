"""What the figures are called, which direction is better, and how they are summed up over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["FIGURES", "OF_METHODS", "OF_RUNS", "Figure", "Interval", "interval", "paired_p"]

RESAMPLES = 2000
FEWEST_PAIRS = 5
"""Fewer differences than this tell nothing in a signed-rank test."""


@dataclass(frozen=True)
class Figure:
    """title: with its unit. higher: whether more is better; None where neither is. digits: behind the point."""

    title: str
    higher: bool | None
    digits: int = 3


FIGURES: Mapping[str, Figure] = {
    "psnr_db": Figure("PSNR [dB]", True, 2),
    "ssim": Figure("SSIM", True),
    "lpips": Figure("LPIPS", False),
    "l1": Figure("L1", False, 4),
    "face_psnr_db": Figure("PSNR, face [dB]", True, 2),
    "face_ssim": Figure("SSIM, face", True),
    "face_l1": Figure("L1, face", False, 4),
    "akd": Figure("AKD", False, 4),
    "aed": Figure("AED", False, 4),
    "apd_deg": Figure("APD [degrees]", False, 2),
    "fid": Figure("FID", False, 2),
    "iqa": Figure("IQA", True, 2),
    "identity_distance": Figure("identity distance", False),
    "identity_leak": Figure("identity leak", False),
    "r_mouth": Figure("r mouth", True),
    "r_lids": Figure("r lids", True),
    "r_gaze_horizontal": Figure("r gaze, horizontal", True),
    "r_gaze_vertical": Figure("r gaze, vertical", True),
    "blinks_followed": Figure("blinks followed", True),
    "r_lips_sound": Figure("r lips, sound", True),
    "jitter": Figure("jitter", None),
    "flicker": Figure("flicker, of the driver's", None, 2),
    "matte_flicker": Figure("flicker of the matte, of the driver's", None, 2),
    "specks_excess_ppm": Figure("specks above the driver's [ppm]", False, 1),
    "mirrored": Figure("mirrored borders [%]", False, 1),
    "seams": Figure("seams above the source's [%]", False, 2),
    "holes": Figure("holes above the source's [%]", False, 2),
    "lost": Figure("frames without a face", False),
    "parameters_m": Figure("parameters [M]", None, 1),
    "gflops": Figure("operations a frame [GFLOP]", False, 1),
    "frames_per_s": Figure("frames/s", True, 1),
    "peak_mb": Figure("peak memory [MB]", False, 0),
}
"""In the order of tables. All but those of methods and of runs are means over clips of what `measure` gives."""
OF_RUNS = ("frames_per_s", "peak_mb")
"""What the drawing cost; other each time."""
OF_METHODS = ("fid", "parameters_m", "gflops")
"""Of a method as a whole, not of a clip."""


@dataclass(frozen=True)
class Interval:
    """Mean over clips, and where it lies in 95 of 100 draws of as many clips; clips: that had the figure."""

    mean: float
    low: float
    high: float
    clips: int


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """A bootstrap over clips: percentiles 2.5 and 97.5 of the means of `RESAMPLES` draws, the same for each seed."""
    given = np.asarray(values, np.float64)
    draws = np.random.default_rng(seed).integers(0, len(given), (RESAMPLES, len(given)))
    low, high = np.percentile(given[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(given.mean()), float(low), float(high), len(given))


def paired_p(one: Sequence[float], other: Sequence[float]) -> float | None:
    """P of Wilcoxon's signed-rank test that two methods differ on the same clips; None for too few that do."""
    from scipy.stats import wilcoxon

    differences = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    if np.count_nonzero(differences) < FEWEST_PAIRS:
        return None
    return float(wilcoxon(differences).pvalue)
