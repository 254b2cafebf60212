"""Eyes that a driver does not show, behind dark glasses, a hand or hair: their landmarks are the tracker's guesses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.visibility import SEEN_EYE

Array = NDArray[np.float64]

REACH_S, SHUT_S = 0.6, 3.0
"""An eye counts as seen up to so many seconds from a moment at which it was: the first while the other one is seen,
since blinks hide it for less, the second while neither is, since both may be shut for long."""
RUN_IN_S = 0.2
"""Seconds over which an eye passes from its own motion to the other's or to rest."""


def settle_unseen(opening: Array, gaze: Array, contrast: NDArray[np.floating[Any]], rate: float) -> None:
    """Let an eye that is not seen follow the other one, and both rest when neither is, in place.

    Args:
        opening: (F, 2) lid distance over eye width. gaze: (F, 2 eyes, 2). contrast: (F, 2), see
            `face.visibility.eye_contrast`. rate: frames per second.
    """
    seen = trust(contrast, rate)
    if seen.min(initial=1.0) >= 1.0:
        return
    usual = np.array([_usual(opening[:, eye], seen[:, eye]) for eye in range(2)])
    ahead = np.array([[_usual(gaze[:, eye, k], seen[:, eye], 50.0) for k in range(2)] for eye in range(2)])
    own_opening, own_gaze = opening / usual, gaze - ahead
    for eye in range(2):
        other = 1 - eye
        mine, theirs = seen[:, eye], (1.0 - seen[:, eye]) * seen[:, other]
        rest = 1.0 - mine - theirs
        opening[:, eye] = usual[eye] * (mine * own_opening[:, eye] + theirs * own_opening[:, other] + rest)
        gaze[:, eye] = ahead[eye] + mine[:, None] * own_gaze[:, eye] + theirs[:, None] * own_gaze[:, other]


def trust(contrast: NDArray[np.floating[Any]], rate: float) -> Array:
    """How far each eye is seen, (F, 2) in [0, 1], from its contrast."""
    frames = len(contrast)
    reach, soft = max(1, round(REACH_S * rate)), max(1, round(RUN_IN_S * rate / 2.0))
    shown = np.asarray(contrast, np.float64) >= SEEN_EYE
    alone = ~shown & shown[:, ::-1]
    lately, lone = _within(shown, round(SHUT_S * rate)), _within(alone, reach)
    near = np.asarray(_within(shown, reach) | (lately & ~lone), np.float64)
    return np.array([near[max(0, k - soft) : k + soft + 1].mean(0) for k in range(frames)])


def _within(values: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Whether values (F, 2) hold at most `reach` frames away."""
    return np.array([values[max(0, k - reach) : k + reach + 1].any(0) for k in range(len(values))], bool).reshape(-1, 2)


def _usual(values: Array, seen: Array, percentile: float = 65.0) -> float:
    """What is usual where the eye is seen, or everywhere when it never is."""
    chosen = values[seen > 0.5] if (seen > 0.5).any() else values
    return float(np.percentile(chosen, percentile)) or 1e-6
