"""The skin of a chin lies below the lips: trackers leave it behind, above them, where a mouth is wide open.

A mesh of such landmarks lies in folds. Drawn as it is nothing of that is seen; moved, lips are cut like paper.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.easing import rise
from avatarkit.head.coordinates import head_frame, mouth_opening

Array = NDArray[np.float64]

# Columns of landmarks from a lower lip's outline down to the chin's end, from the right to the left.
_COLUMNS = np.array([
    (146, 43, 202, 210, 169, 150), (91, 106, 204, 211, 170, 149), (181, 182, 194, 32, 140, 176),
    (84, 83, 201, 208, 171, 148), (17, 18, 200, 199, 175, 152), (314, 313, 421, 428, 396, 377),
    (405, 406, 418, 262, 369, 400), (321, 335, 424, 431, 395, 378), (375, 273, 422, 430, 394, 379),
])  # fmt: skip
_ASIDE = (
    (0.05, 0.17, 0.38, 0.68), (0.07, 0.28, 0.49, 0.74), (0.1, 0.33, 0.56, 0.79), (0.1, 0.33, 0.6, 0.82),
    (0.1, 0.33, 0.6, 0.82),
)  # fmt: skip
LEAST = np.array([*_ASIDE, *_ASIDE[-2::-1]])
"""So far down its column from lip to chin each landmark lies, as a share; no less than this, whose mouth is closed or
smiles (seven portraits; one that gapes had -0.7 instead of 0.1)."""
GAPES = (0.3, 0.5)
"""Inner lips' height over width from which chins begin to be put back, and wholly are: trackers draw chins of heads
seen from aside in folds, too, but those do not lie above the lips. Of 28 portraits one is wider open than 0.35."""
SIDEWAYS = 0.15
"""What lacks this share of its column is put back sideways altogether: what lacks less, by so much less."""


def unfolded(landmarks: NDArray[np.floating[Any]]) -> Array:
    """Landmarks (478, 3) of a face in pixels, with its chin below its lips: moved along the face where it is not."""
    pose = head_frame(landmarks)
    shape = pose.apply_inverse(np.asarray(landmarks, np.float64))
    columns = shape[_COLUMNS, :2]
    begin, way = columns[:, :1], columns[:, -1:] - columns[:, :1]
    places = columns[:, 1:-1]
    push = np.maximum(begin[..., 1] + LEAST * way[..., 1] - places[..., 1], 0.0)
    push *= rise(mouth_opening(shape), *GAPES)
    result = np.array(landmarks, np.float64)
    if float(push.max()) <= 0.0:
        return result
    # What has been left behind has been so sideways, too.
    share = np.clip(push / np.maximum(np.maximum(LEAST, SIDEWAYS) * way[..., 1], 1e-6), 0.0, 1.0)
    places[..., 0] += share * ((begin + LEAST[..., None] * way)[..., 0] - places[..., 0])
    places[..., 1] += push
    shape[_COLUMNS[:, 1:-1], :2] = places
    moved = _COLUMNS[:, 1:-1][push > 0.0]
    result[moved] = pose.apply(shape[moved])
    return result
