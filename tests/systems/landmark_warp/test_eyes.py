"""Eyes that the frame cuts."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.eyes import EyeLayer

from ..conftest import Move
from .conftest import SIZE, SKIN


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("edge", [0, SIZE - 1])
def test_an_eye_of_which_only_the_corner_is_left_is_no_hole(
    picture: np.ndarray, landmarks: np.ndarray, act: Move, edge: int
) -> None:
    layer, ends = EyeLayer(picture, landmarks), landmarks[[i for lids in lm.UPPER_LIDS for i in lids], 0]
    # Of the face only the corner that is outermost on the other side is in the frame.
    corner = ends.max() if edge == 0 else ends.min()
    for beyond in np.arange(-1.0, 3.5, 0.5):
        frame = np.full_like(picture, SKIN)
        dx = edge - corner + (beyond if edge else -beyond)
        layer.draw(frame, act(dx=dx))
        assert frame.min() > 20
