"""How well blinks and gaze arrive: what a tracker reads from a driver against what it reads from the result."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLINK_DEPTH, BLINK_FROM, BLINK_S = 0.5, 0.75, 0.4
"""An eye blinks where its opening falls below the first share of what is usual around it, and was above the second
within this many seconds before and after: eyes that look down are half shut for longer."""
IRIS_SHOWN = 0.5
"""Eyes that are open by less than this share of what is usual hide most of the iris."""
USUAL_S = 3.0
"""What is usual is the upper quartile over this time around a moment, in seconds."""
SHUT = 0.13
"""Trackers report eyes that are wholly shut as open by up to this share of their width: the eyes of 15 portraits, drawn
shut, as 0.03 to 0.15 (median 0.09), one portrait's as 0.2; those of drivers as 0.03 to 0.07."""
TURNED_AWAY, TURNED_FAR = 0.4, 0.6
"""Sines of a head's turn. From the first (24 degrees) on the averted eye follows the other one, whatever a tracker says
of it; from the second (37 degrees) on neither can be measured: eyes drawn shut are reported as open by 0.5 and 0.8 of
what is usual at 47 degrees, by 0.2 to 0.4 up to 30."""
DEG_PER_WIDTH = 140.0
"""Degrees by which an eye turns for an iris shift of one eye width, near the middle: eyes are about 2.5 of their
radii wide, and 1 radian moves the iris by 1 radius."""


@dataclass(frozen=True)
class BlinkFigures:
    """blinks: of both eyes together. followed: share of them that the result follows; None without blinks."""

    blinks: int
    followed: float | None


@dataclass(frozen=True)
class GazeFigures:
    """Correlations of the mean gaze of both eyes, None where the driver's hardly moves; and degrees.

    apart_deg: by how much more the result's eyes depart from their usual difference than the driver's do, each at
    its 95th percentile.
    """

    horizontal: float | None
    vertical: float | None
    apart_deg: float


def blink_moments(opening: NDArray[np.floating[Any]], rate: float) -> list[tuple[int, float]]:
    """The deepest frame of every blink of one eye, and what is left of the usual opening there.

    Args:
        opening: (F,) lid distance over eye width. rate: frames per second.
    """
    usual = _usual(np.asarray(opening, np.float64), rate)
    share = np.asarray(opening, np.float64) / np.maximum(usual, 1e-6)
    low = np.concatenate([[False], share < BLINK_DEPTH, [False]])
    starts, stops = np.flatnonzero(low[1:] & ~low[:-1]), np.flatnonzero(low[:-1] & ~low[1:])
    deepest = [start + int(np.argmin(share[start:stop])) for start, stop in zip(starts, stops, strict=True)]
    reach = max(1, round(BLINK_S * rate))
    return [
        (k, float(share[k]))
        for k in deepest
        if share[max(0, k - reach) : k].max(initial=0.0) > BLINK_FROM and share[k : k + reach + 1].max() > BLINK_FROM
    ]


def blink_figures(
    driver: NDArray[np.floating[Any]],
    result: NDArray[np.floating[Any]],
    rate: float,
    *,
    tolerance: float = 0.15,
    slack_s: float = 0.08,
    shut: float = 0.0,
    measurable: NDArray[np.bool_] | None = None,
) -> BlinkFigures:
    """Whether the result's lids come as close at the deepest point of each of the driver's blinks.

    Args:
        driver, result: (F, 2) openings of both eyes, frame by frame. tolerance: in shares of the eye's usual
            opening. slack_s: the result may be deepest by this much earlier or later. shut: openings up to this
            cannot be told from shut eyes, see `SHUT`. measurable: (F, 2) which eyes'
            blinks count, see `measurable_eyes`; None for all.
    """
    blinks, followed, slack = 0, 0, max(1, round(slack_s * rate))
    for eye in range(2):
        own, other = (_shares(np.asarray(opening[:, eye], np.float64), rate, shut) for opening in (driver, result))
        for frame, _ in blink_moments(driver[:, eye], rate):
            if measurable is not None and not measurable[frame, eye]:
                continue
            near = other[max(0, frame - slack) : frame + slack + 1]
            blinks += 1
            followed += bool(abs(float(near.min() - own[frame])) <= tolerance)
    return BlinkFigures(blinks, followed / blinks if blinks else None)


def measurable_eyes(turn: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which eyes, right and left (F, 2), a tracker can be asked about.

    Args:
        turn: (F,) sine of the head's turn, positive where the nose points to smaller x: then the left eye is nearer.
    """
    away = np.asarray(turn, np.float64)[:, None] * [1.0, -1.0]
    return np.asarray((away < TURNED_AWAY) & (away > -TURNED_FAR), np.bool_)


def gaze_figures(driver: NDArray[np.floating[Any]], result: NDArray[np.floating[Any]]) -> GazeFigures:
    """Compare gaze (F, 2 eyes, 2: along, across) in eye widths; see `head.coordinates.gaze`."""
    mean_d, mean_r = np.asarray(driver, np.float64).mean(1), np.asarray(result, np.float64).mean(1)
    apart = [np.asarray(g, np.float64)[:, 0] - np.asarray(g, np.float64)[:, 1] for g in (driver, result)]
    away = [np.linalg.norm(a - np.median(a, axis=0), axis=1) * DEG_PER_WIDTH for a in apart]
    return GazeFigures(
        _correlation(mean_d[:, 0], mean_r[:, 0]),
        _correlation(mean_d[:, 1], mean_r[:, 1]),
        float(np.percentile(away[1], 95) - np.percentile(away[0], 95)),
    )


def shown_irises(
    driver: NDArray[np.floating[Any]], result: NDArray[np.floating[Any]], rate: float
) -> NDArray[np.bool_]:
    """In which frames (F,) the lids of both leave the irises to be seen: behind shut lids trackers guess them.

    Args:
        driver, result: (F, 2) openings of both eyes. rate: frames per second.
    """
    eyes = [np.asarray(opening[:, eye], np.float64) for opening in (driver, result) for eye in range(2)]
    shown = [opening > IRIS_SHOWN * _usual(opening, rate) for opening in eyes]
    return np.asarray(np.all(shown, axis=0), np.bool_)


def _shares(opening: Array, rate: float, shut: float) -> Array:
    """The shares of its usual opening by which an eye is open, (F,), where openings up to `shut` are none."""
    return np.asarray(np.maximum(opening - shut, 0.0) / np.maximum(_usual(opening, rate) - shut, 1e-6), np.float64)


def _usual(opening: Array, rate: float) -> Array:
    half = max(1, round(USUAL_S * rate / 2.0))
    return np.array([np.percentile(opening[max(0, k - half) : k + half + 1], 75) for k in range(len(opening))])


def _correlation(a: Array, b: Array) -> float | None:
    """Pearson's correlation; None where the first hardly moves."""
    if len(a) < 5 or a.std() < 0.008 or b.std() == 0.0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
