"""How far a driver's eyes are open, as shares of their usual opening, and which of its eyes wink."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLOSED_EYE = 0.06
"""Lid distance over eye width that the tracker reports for a closed eye."""
NARROW_EYES = ((0.0, 0.15, 0.4, 1.0), (0.0, 0.0, 0.4, 1.0))
"""Trackers report shut eyes of most people as a little open. First the share of an eye's opening that is reported, from
shut to as usual, then the share that is seen: where the driver's own pictures are matched best, on 256 frames of seven
drivers drawn from one of their frames each (mean difference of grey levels around the eyes)."""
WIDEST_EYE = 1.5
"""An eye opens at most to this multiple of its opening in the source."""
WINK, WINK_S = (0.3, 0.5), 0.12
"""An eye winks, wholly from the second share on, where both differ by more than the first through most of the time up
to so many seconds before and after: in the middle of blinks, which drivers' pictures show closing alike, eyes differ
for a tracker as much, but in two or three frames."""
WINKING = (0.25, 0.5)
"""And where the one that is less open is so by less than the second share through that time, wholly below the first:
brows that rise unevenly are no wink."""
SHUTTING = 0.6
"""Below this share both eyes go by the one that is reported as less open, the more the more it shuts: of a lid that is
shut a tracker may say that it is open, hardly the other way round."""
FRONTAL = (0.2, 0.4)
"""Sines of the turns up to which a tracker's word on a winking averted eye counts, and from which on nothing that it
says of that eye does."""


def shares(opening: NDArray[np.floating[Any]], usual: Array) -> Array:
    """Shares (F, 2) of their usual opening by which eyes are open, as a tracker reports them.

    Args:
        opening: (F, 2) lid distance over eye width. usual: (F, 2) the same in the reference of each frame's shot.
    """
    usual = np.maximum(usual - CLOSED_EYE, 0.05)
    return np.asarray((np.asarray(opening, np.float64) - CLOSED_EYE) / usual, np.float64)


def winks(shares: Array, shots: Sequence[tuple[int, int]], rate: float) -> Array:
    """How far (F,) from 0 to 1 one eye is shut while the other one is open.

    Args:
        shares: (F, 2), see `shares`. shots: first frame of each shot and the one after its last. rate: frames per
            second.
    """
    reach = max(1, round(WINK_S * rate))
    result = np.zeros(len(shares))
    for start, stop in shots:
        here = shares[start:stop]
        both = np.stack([here[:, 0] - here[:, 1], here.min(1)])
        near = sliding_window_view(np.pad(both, ((0, 0), (reach, reach)), "edge"), 2 * reach + 1, axis=1)
        apart, least = np.median(near, axis=2)
        result[start:stop] = np.interp(np.abs(apart), WINK, (0.0, 1.0)) * np.interp(least, WINKING, (1.0, 0.0))
    return result


def openness(shares: Array, turn: float, wink: float) -> Array:
    """Share (2,) of the source's lid distance that is left open, up to `WIDEST_EYE`.

    Trackers see the averted eye badly, and people blink with both: unless one winks, the eyes share what the better
    seen one says, the more so the more the head is turned.

    Args:
        shares: (2,), see `shares`. turn: sine of the angle by which the head looks towards smaller x, which shows the
            left eye better. wink: see `winks`.
    """
    both, least = float(np.clip(0.5 + np.array([-1.5, 1.5]) * turn, 0.0, 1.0) @ shares), float(shares.min())
    frontal = max(0.0, 1.0 - abs(turn) / FRONTAL[1])
    both += frontal * (1.0 - wink) * float(np.clip(1.0 - least / SHUTTING, 0.0, 1.0)) * (least - both)
    apart = wink * float(np.interp(abs(turn), FRONTAL, (1.0, 0.0)))
    seen = np.maximum(both + apart * (shares - both), 0.0)
    opened = np.where(seen < 1.0, np.interp(seen, *NARROW_EYES), seen)
    return np.asarray(np.minimum(opened, WIDEST_EYE), np.float64)
