"""Irises are found where they are in a picture, whatever a tracker says of them."""

import cv2
import gaze_reading
import numpy as np
import pytest

from avatarkit.face import landmarks as lm


@pytest.mark.parametrize("aside", [-0.2, 0.0, 0.13])
def test_the_dark_disc_between_the_lids_is_found(aside: float) -> None:
    points, at = np.zeros((lm.MESH + 10, 3)), np.linspace(0.0, np.pi, len(lm.UPPER_LIDS[0]))
    along, high = 60.0 - 40.0 * np.cos(at), np.sin(at)
    for ring, rise in ((lm.UPPER_LIDS[0], -18.0), (lm.LOWER_LIDS[0], 14.0)):
        points[list(ring), 0], points[list(ring), 1] = along, 50.0 + rise * high
    picture = np.full((100, 120, 3), 200, np.uint8)
    cv2.circle(picture, (round(60 + 80 * aside), 48), 17, (40, 40, 40), -1)
    assert gaze_reading.iris_place(picture, points, 0, 17 / 80) == pytest.approx(aside, abs=0.03)
