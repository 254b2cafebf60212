"""The line at the corners of closed lips is not drawn out where they part."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.corners import OUTWARDS, clear_corners

SKIN = 200


def face(landmarks: np.ndarray, roll_deg: float = 0.0) -> tuple[np.ndarray, DriveFrame]:
    """Noisy skin with a dark line beside each corner of the mouth, the head turned in the picture."""
    middle = landmarks[[61, 291], :2].mean(0)
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), -roll_deg, 1.0)
    points = landmarks.copy()
    points[:, :2] = landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    frame = np.full((512, 512, 3), SKIN, np.uint8)
    pose = head_frame(points)
    along = points[291, :2] - points[61, :2]
    along /= np.linalg.norm(along)
    for corner, way in ((points[61, :2], -along), (points[291, :2], along)):
        ends = [tuple((corner + s * pose.scale * way).round().astype(int).tolist()) for s in (0.0, 0.08)]
        cv2.line(frame, ends[0], ends[1], (60, 40, 40), max(3, round(0.05 * pose.scale)))
    noise = np.random.default_rng(0).integers(-9, 10, (512, 512, 1))
    return np.clip(frame + noise, 0, 255).astype(np.uint8), DriveFrame(pose, points, np.ones(2), 0)


def beside(frame: np.ndarray, motion: DriveFrame) -> np.ndarray:
    """Pixels of the skin right beside both corners (2, N)."""
    corners = motion.landmarks[[lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]], :2]
    out = corners - corners.mean(0)
    places = corners + OUTWARDS * motion.pose.scale * out / np.linalg.norm(out, axis=1)[:, None]
    return np.array([frame[y - 2 : y + 3, x - 2 : x + 3].mean(2).ravel() for x, y in places.round().astype(int)])


def test_the_line_goes_as_lips_part(landmarks: np.ndarray) -> None:
    for roll_deg in (0.0, 25.0, -40.0):
        frame, motion = face(landmarks, roll_deg)
        light = []
        for apart in (0.0, 0.2, 0.4):
            item = frame.copy()
            clear_corners(item, motion, apart)
            light.append(beside(item, motion).mean(1).min())
        assert light[0] < 0.5 * SKIN, roll_deg
        assert light == sorted(light), roll_deg
        assert light[2] > 0.75 * SKIN, roll_deg


def test_skin_keeps_its_texture_and_nothing_changes_elsewhere(landmarks: np.ndarray) -> None:
    frame, motion = face(landmarks)
    cleared = frame.copy()
    clear_corners(cleared, motion, 0.4)
    fine, before = beside(cleared, motion).std(1), np.random.default_rng(0).integers(-9, 10, 100).std()
    assert (fine > 0.6 * before).all()
    middle = motion.landmarks[[61, 291], :2].mean(0).astype(int)
    untouched = np.s_[: middle[1] - 60], np.s_[middle[1] + 60 :]
    for rows in untouched:
        np.testing.assert_array_equal(cleared[rows], frame[rows])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_averted_corner_is_left_alone(landmarks: np.ndarray, sign: float) -> None:
    """Beside it lies the outline of the face, and what is dark there is no line of lips."""
    pose = head_frame(landmarks)
    turned = replace(pose, rotation=from_euler_deg(sign * 60.0, 0.0, 0.0)).apply(pose.apply_inverse(landmarks))
    frame, motion = face(turned)
    cleared = frame.copy()
    clear_corners(cleared, motion, 0.4)
    far, near = (0, 1) if sign > 0.0 else (1, 0)
    before, after = beside(frame, motion).mean(1), beside(cleared, motion).mean(1)
    assert after[far] < before[far] + 2.0
    assert after[near] > 0.75 * SKIN


def test_a_smile_keeps_its_dark_corners(landmarks: np.ndarray) -> None:
    frame, motion = face(landmarks)
    smiling = frame.copy()
    clear_corners(smiling, motion, 0.12)
    np.testing.assert_array_equal(smiling, frame)
