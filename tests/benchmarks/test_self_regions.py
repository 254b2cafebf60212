"""Squares about mouth and eyes that self-reenactments are compared in."""

import cv2
import numpy as np
import pytest
import self_regions

from avatarkit.face import landmarks as lm


@pytest.fixture
def marked(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> np.ndarray:
    """The face with a green dot between the lips and a blue one on each iris."""
    picture = grace_hopper.copy()
    for colour, points in (((0, 255, 0), [[13, 14]]), ((0, 0, 255), [[iris] for iris in lm.IRIS_CENTRES])):
        for numbers in points:
            middle = hopper_landmarks[numbers, :2].mean(0).round().astype(int)
            cv2.circle(picture, tuple(map(int, middle)), 4, colour, -1)
    return picture


def test_squares_hold_mouth_and_eyes(marked: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    cuts = self_regions.squares(marked, hopper_landmarks.astype(np.float64))
    assert [len(cuts["mouth"]), len(cuts["eyes"])] == [1, 2]
    for picture, channel in ((cuts["mouth"][0], 1), (cuts["eyes"][0], 2), (cuts["eyes"][1], 2)):
        assert picture.shape == (self_regions.SIDE, self_regions.SIDE, 3)
        pure = (picture[..., channel] > 200) & (np.delete(picture, channel, axis=2).max(2) < 60)
        middle = np.argwhere(pure).mean(0)
        assert np.abs(middle - (self_regions.SIDE - 1) / 2).max() < 8
