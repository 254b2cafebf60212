"""The fast matte: near the fine one, joined to the face, the same for the same frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.background.mediapipe_matting import MediaPipeMatting
from avatarkit.errors import InputError
from avatarkit.prepare.tools import Tools
from avatarkit.prepare.video_matte import VideoMatting, _fitted


@pytest.fixture(scope="module")
def matting() -> VideoMatting:
    return VideoMatting()


def test_matte_is_near_the_fine_one(
    matting: VideoMatting, grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    fast = matting.matte(grace_hopper, hopper_landmarks)
    fine = MediaPipeMatting().matte(grace_hopper, hopper_landmarks)
    assert fast.shape == grace_hopper.shape[:2]
    assert fast.dtype == np.float32
    assert fast.min() == 0
    assert fast.max() == 1
    assert np.abs(fast - fine).mean() < 0.04
    assert (matting.matte(grace_hopper, hopper_landmarks) == fast).all()


@pytest.mark.parametrize(("front", "back"), [((200, 40, 40), (40, 200, 40)), ((90, 90, 120), (120, 120, 90))])
def test_edges_are_the_pictures(front: tuple[int, ...], back: tuple[int, ...]) -> None:
    # A rough matte that is soft and lies a little beside the subject; in the first case both are equally bright.
    y, x = np.mgrid[:512, :512]
    disc = np.hypot(x - 255.5, y - 255.5) < 150.2
    picture = np.where(disc[..., None], front, back).astype(np.uint8)
    small = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    beside = np.roll(cv2.resize(disc.astype(np.float32), (256, 256)), 1, axis=1)
    rough = cv2.GaussianBlur(beside, (0, 0), 1.5)
    fitted, enlarged = _fitted(picture, small, rough), cv2.resize(rough, (512, 512))
    assert ((fitted > 0.5) != disc).mean() < 0.35 * ((enlarged > 0.5) != disc).mean()


def test_second_person_apart_is_dropped(
    matting: VideoMatting, astronaut: np.ndarray, tools: Tools
) -> None:
    pair = np.full((400, 800, 3), 128, np.uint8)
    head = astronaut[20:300, 90:370]
    pair[120:, 20:300], pair[120:, 500:780] = head, head[:, ::-1]
    landmarks = min(tools.tracker.detect(pair), key=lambda face: face.centre[0]).landmarks
    whole, joined = matting.matte(pair), matting.matte(pair, landmarks)
    assert joined[:, :320].mean() > 0.9 * whole[:, :320].mean()
    if whole[:, 480:].mean() > 0.1:
        assert joined[:, 480:].mean() < 0.5 * whole[:, 480:].mean()


def test_face_is_foreground_even_where_the_network_sees_nothing(matting: VideoMatting) -> None:
    landmarks = np.random.default_rng(0).uniform(100, 150, (478, 2))
    matte = matting.matte(np.full((256, 256, 3), 90, np.uint8), landmarks)
    assert matte[125, 125] == pytest.approx(1.0, abs=0.05)


def test_anything_but_a_picture_is_refused(matting: VideoMatting) -> None:
    with pytest.raises(InputError):
        matting.matte(np.zeros((4, 4), np.uint8))
