"""The built-in score: its order under blur, JPEG, down-up scaling and noise, and what each part measures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.quality.choice import QUALITY_MODELS, open_quality
from avatarkit.quality.sharpness import SharpnessScore, sharpness_parts

Degrade = Callable[[np.ndarray, float], np.ndarray]


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def jpeg(picture: np.ndarray, quality: float) -> np.ndarray:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def down_up(picture: np.ndarray, factor: float) -> np.ndarray:
    size = picture.shape[1], picture.shape[0]
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def noise(picture: np.ndarray, sigma: float) -> np.ndarray:
    added = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + added), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("degrade", "strengths"),
    [
        (blur, (0.7, 1.2, 2.0, 3.2, 5.0)),
        (jpeg, (75, 50, 30, 18, 10)),
        (down_up, (1.5, 2, 3, 4, 6)),
        (noise, (3, 6, 11, 18, 28)),
    ],
)
def test_score_falls_with_the_strength(
    astronaut: np.ndarray, grace_hopper: np.ndarray, degrade: Degrade, strengths: tuple[float, ...]
) -> None:
    for picture in (astronaut, grace_hopper):
        frames = np.stack([degrade(picture, strength) for strength in strengths])
        scores = SharpnessScore().score(frames)
        assert (np.diff(scores) < 0).all(), scores
        assert scores[-1] < SharpnessScore().score(picture[None])[0] - 2.0


def test_contrast_of_the_subject_cancels_out(astronaut: np.ndarray) -> None:
    pale = (astronaut * 0.5 + 60).astype(np.uint8)
    assert sharpness_parts(pale).edges_db == pytest.approx(sharpness_parts(astronaut).edges_db, abs=0.3)


@pytest.mark.parametrize("sigma", [4.0, 12.0])
def test_noise_is_measured_in_grey_levels(sigma: float) -> None:
    rng = np.random.default_rng(1)
    grey = np.clip(np.rint(128 + rng.normal(0, sigma, (256, 256))), 0, 255).astype(np.uint8)
    assert sharpness_parts(np.repeat(grey[..., None], 3, 2)).noise_levels == pytest.approx(sigma, rel=0.1)


def test_blocks_are_found_wherever_their_grid_begins(grace_hopper: np.ndarray) -> None:
    packed = jpeg(grace_hopper, 12)
    values = [sharpness_parts(packed[dy:, dx:]).blocks for dx, dy in ((0, 0), (3, 5), (7, 1))]
    assert np.ptp(values) < 0.05
    assert min(values) > 0.5
    assert sharpness_parts(grace_hopper).blocks < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (32, 33), (40, 9)])
def test_tiny_and_plain_pictures_have_a_score(shape: tuple[int, int]) -> None:
    frames = np.full((2, *shape, 3), 77, np.uint8)
    scores = SharpnessScore().score(frames)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]


def test_anything_but_frames_is_refused() -> None:
    assert SharpnessScore().score(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)
    with pytest.raises(InputError, match="cannot be rated"):
        SharpnessScore().score(np.zeros((8, 8, 3), np.uint8))


def test_choice_without_weights_is_the_built_in_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatarkit.weights.choice.present", lambda name: False)
    choice = open_quality()
    assert (choice.model.name, choice.model.weights_sha256) == ("sharpness-1", None)
    assert choice.advice is not None
    assert choice.advice.endswith("avatarkit weights fetch hyperiqa")
    assert open_quality("sharpness").advice is None
    assert QUALITY_MODELS == ("auto", "hyperiqa", "sharpness")
