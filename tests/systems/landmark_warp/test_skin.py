"""What is drawn beside the picture's own pixels is as sharp as they are."""

from __future__ import annotations

import cv2
import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.landmark_warp.skin import blur_around_mouth, film_grain


def test_blur_is_that_of_the_picture(picture: np.ndarray, landmarks: np.ndarray) -> None:
    scale = head_frame(landmarks).scale
    crisp = blur_around_mouth(picture, landmarks) * scale
    assert crisp < 0.9
    soft = blur_around_mouth(cv2.GaussianBlur(picture, (0, 0), 1.3), landmarks) * scale
    assert abs(soft - np.hypot(crisp, 1.3)) < 0.3


def steepest(picture: np.ndarray, landmarks: np.ndarray) -> float:
    """The steepest step along the teeth of a picture's mouth that opens."""
    points = landmarks.copy()
    points[list(lm.INNER_LIP_LOWER[1:-1]), 1] += 0.25 * head_frame(landmarks).scale
    frame = np.zeros_like(picture)
    MouthLayer(picture, landmarks).draw(frame, DriveFrame(head_frame(landmarks), points, np.ones(2), 0))
    light = frame.astype(np.float32).mean(2)
    x, y = points[13, :2].round().astype(int)
    return float(np.abs(np.diff(light[y + 2 : y + 6, x - 20 : x + 20], axis=1)).max())


def test_teeth_in_a_blurred_picture_have_no_sharp_gaps(picture: np.ndarray, landmarks: np.ndarray) -> None:
    crisp = steepest(picture, landmarks)
    assert crisp > 5.0
    assert steepest(cv2.GaussianBlur(picture, (0, 0), 1.5), landmarks) < 0.6 * crisp


def test_lashes_in_a_blurred_picture_run_together(picture: np.ndarray, landmarks: np.ndarray) -> None:
    crisp, soft = (LidLayer(p, landmarks)._comb[12] for p in (picture, cv2.GaussianBlur(picture, (0, 0), 1.5)))
    middle = slice(200, 560)
    assert soft[middle].std() < 0.6 * crisp[middle].std()
    assert abs(soft[middle].mean() - crisp[middle].mean()) < 0.1


def test_grain_of_a_picture_is_found_and_is_on_what_is_drawn(picture: np.ndarray, landmarks: np.ndarray) -> None:
    assert film_grain(picture, landmarks, (40, 60)) is None
    noise = np.random.default_rng(0).normal(0.0, 20.0, picture.shape[:2])[..., None]
    grainy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    grain = film_grain(grainy, landmarks, (40, 60))
    assert grain is not None
    assert grain.shape == (40, 60)
    assert abs(float(grain.mean()) - 1.0) < 0.01
    assert 0.04 < float(grain.std()) < 20.0 / np.mean(picture[10, 10])
    assert unrest(grainy, landmarks) > 1.5 * unrest(picture, landmarks)


def unrest(picture: np.ndarray, landmarks: np.ndarray) -> float:
    """Finest detail of the tongue in a picture's mouth that opens."""
    points, scale = landmarks.copy(), head_frame(landmarks).scale
    points[list(lm.INNER_LIP_LOWER[1:-1]), 1] += 0.4 * scale
    frame = np.zeros_like(picture)
    MouthLayer(picture, landmarks).draw(frame, DriveFrame(head_frame(landmarks), points, np.ones(2), 0))
    x, y = (0.5 * (points[13, :2] + points[14, :2])).round().astype(int)
    part = frame[y - 8 : y + 9, x - 12 : x + 13].astype(np.float32).mean(2)
    return float((part - cv2.GaussianBlur(part, (0, 0), 1.0)).std())
