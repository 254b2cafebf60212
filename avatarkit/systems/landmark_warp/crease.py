"""The dark line where a photo's lips meet: of lips that part, it is what lies between them, and not their rim."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.geometry.similarity import Similarity

Array = NDArray[np.float64]

WIDEST = 0.035
"""Head units (about 9 cm) that the line reaches beyond the landmarks at most."""
LIP = (0.03, 0.07)
"""So far from them a lip has its own colour."""
DARKER = 0.75
"""The line is darker than this share of the lip's light."""
_SHARE = 0.55
"""The line ends where the light has risen by this share of the way from its darkest place to the lip."""
_STEP = 0.0025


def crease(picture: NDArray[np.uint8], landmarks: Array, pose: Similarity) -> Array:
    """How far the line reaches into the lower lip, (11,) in head units, 0 where there is none.

    Upper lips lie in the shade, and nothing tells the line from them.
    """
    along = pose.rotation[:2, 1] / max(float(np.linalg.norm(pose.rotation[:2, 1])), 0.3)
    reach = np.arange(-0.02, LIP[1] + _STEP / 2.0, _STEP)
    places = landmarks[list(lm.INNER_LIP_LOWER), None, :2] + pose.scale * reach[None, :, None] * along
    light = sample(picture, places).astype(np.float64).mean(2)
    return _smooth(np.array([_end(row, reach) for row in light]))


def _end(light: Array, reach: Array) -> float:
    """Where the line ends on a way from it into the lip."""
    lip = float(np.median(light[reach >= LIP[0]]))
    near = np.flatnonzero(reach <= WIDEST)
    darkest = near[np.argmin(light[near])]
    if light[darkest] > DARKER * lip:
        return 0.0
    risen = light[darkest:] > light[darkest] + _SHARE * (lip - light[darkest])
    return float(np.clip(reach[darkest + int(np.argmax(risen))], 0.0, WIDEST)) if risen.any() else 0.0


def _smooth(values: Array) -> Array:
    """Of neighbours the middle one, and then their mean; nothing at the corners of the mouth."""
    padded = np.pad(values, 1, mode="edge")
    middle = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    middle[[0, -1]] = 0.0
    result = np.array(middle, np.float64)
    result[1:-1] = (middle[:-2] + 2.0 * middle[1:-1] + middle[2:]) / 4.0
    return result
