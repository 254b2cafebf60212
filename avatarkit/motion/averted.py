"""The half of a turned driver's face that its picture hardly shows: there its expression is the other half's.

From about 35 degrees on trackers draw the averted eye, and the cheek below it, out to what they see of the outline:
by a tenth of a head unit and more, while the points beside them stay. In another face that is a pointed cheekbone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.mirror import MIRROR
from avatarkit.geometry.easing import fall

Array = NDArray[np.float64]

UNHEARD = (0.4, 0.58)
"""Sines of the driver's turn, of 24 and of 35 degrees: what is said of the averted half counts less from the first on,
and not at all from the second. The ring around the averted eye of six drivers leaves the points beside it by 0.01 to
0.025 head units up to 30 degrees, about as the near one does; in the one that turns farther by 0.03 from 30 degrees on,
0.05 from 35, 0.10 from 40 and 0.14 from 45."""
ASIDE = (0.05, 0.25)
"""Distances from the middle of the face, in head units: up to the first nothing is changed."""


def with_near_half(offsets: Array, shape: Array, mouth: Array, turn: float) -> Array:
    """Offsets (478, 3) of an expression whose averted half, but for the mouth, does as the near one.

    Args:
        shape: (478, 3) the face in head coordinates. mouth: (478,) weights of its mouth, see `reshape.region_weights`.
        turn: sine of the angle by which the driver looks towards smaller x, which hides the right half.
    """
    unheard = 1.0 - float(fall(abs(turn), *UNHEARD))
    if unheard == 0.0:
        return offsets
    aside = -np.sign(turn) * shape[:, 0]
    share: NDArray[Any] = unheard * (1.0 - fall(aside, *ASIDE)) * (1.0 - mouth)
    near = offsets[MIRROR] * np.array([-1.0, 1.0, 1.0])
    return np.asarray(offsets + share[:, None] * (near - offsets), np.float64)
