"""The line between closed lips is no rim of the lower one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.crease import WIDEST, crease
from avatarkit.systems.landmark_warp.mouth import MouthLayer

LINE = 0.016


@pytest.fixture
def lined(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The painted face with a black line along its lower lip."""
    result, scale = picture.copy(), head_frame(landmarks).scale
    lip = landmarks[list(lm.INNER_LIP_LOWER), :2]
    band = np.concatenate([lip, lip[::-1] + np.array([0.0, LINE * scale])])
    cv2.fillPoly(result, [np.round(band * 16).astype(np.int32)], (15, 8, 10), cv2.LINE_AA, 4)
    return result


def test_its_width_is_measured(picture: np.ndarray, lined: np.ndarray, landmarks: np.ndarray) -> None:
    pose = head_frame(landmarks)
    assert not crease(picture, landmarks, pose).any()
    found = crease(lined, landmarks, pose)
    assert found[[0, -1]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(found[3:8], LINE, atol=0.01)
    assert found.max() <= WIDEST


def test_lips_that_open_leave_no_black_rim(picture: np.ndarray, lined: np.ndarray, landmarks: np.ndarray) -> None:
    """What was the line is drawn over by the inside of the mouth."""
    points, pose = landmarks.copy(), head_frame(landmarks)
    points[list(lm.INNER_LIP_LOWER[1:-1]), 1] += 0.3 * pose.scale
    x, y = points[14, :2].round().astype(int)
    ends = []
    for item in (picture, lined):
        frame = np.full_like(item, 255)
        MouthLayer(item, landmarks).draw(frame, DriveFrame(pose, points, np.ones(2), 0))
        ends.append(int(np.argmax(frame[y:, x].min(1) > 250)))
    assert 0.6 * LINE < (ends[1] - ends[0]) / pose.scale < 2.0 * LINE
