"""Figures on constructed pictures and motion: exact values, perfect values, and worse for worse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.errors import UsageError
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.geometry.similarity import Similarity, fit_plane
from avatarkit.head.coordinates import head_frame
from avatarkit.metrics.frechet import Gaussian, frechet_distance
from avatarkit.metrics.motion import aed, akd, apd_deg, correlation, jitter, openings
from avatarkit.metrics.pixels import PERFECT_DB, l1, psnr_db, ssim


def test_equal_pictures_are_perfect(astronaut: np.ndarray) -> None:
    assert (psnr_db(astronaut, astronaut), l1(astronaut, astronaut)) == (PERFECT_DB, 0)
    assert ssim(astronaut, astronaut) == pytest.approx(1)


def test_pixel_figures_are_scikit_images(astronaut: np.ndarray) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    noise = np.random.default_rng(0).normal(0, 12, astronaut.shape)
    other = (astronaut + noise).clip(0, 255).astype(np.uint8)
    assert psnr_db(other, astronaut) == pytest.approx(peak_signal_noise_ratio(astronaut, other), abs=1e-4)
    wanted = structural_similarity(
        astronaut, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(other, astronaut) == pytest.approx(wanted, abs=1e-4)
    ones = np.ones(astronaut.shape[:2])
    assert psnr_db(other, astronaut, ones) == pytest.approx(psnr_db(other, astronaut))
    assert ssim(other, astronaut, ones) == pytest.approx(wanted, abs=1e-4)


def test_exact_values_and_masks() -> None:
    target = np.zeros((16, 16, 3), np.uint8)
    picture = target.copy()
    picture[:, :8] = 51  # a fifth of 255 in the left half
    assert l1(picture, target) == pytest.approx(0.1)
    assert psnr_db(picture, target) == pytest.approx(10 * np.log10(1 / (0.04 / 2)))
    left = np.zeros((16, 16))
    left[:, :8] = 1
    assert l1(picture, target, left) == pytest.approx(0.2)
    assert l1(picture, target, 1 - left) == 0
    for figure in (l1, psnr_db, ssim):
        with pytest.raises(UsageError, match="one size"):
            figure(picture, target[:8])
        with pytest.raises(UsageError, match="not empty"):
            figure(picture, target, np.zeros((16, 16)))


@pytest.mark.parametrize("change", ["blur", "noise", "shift"])
def test_pixel_figures_get_worse_in_order(astronaut: np.ndarray, change: str) -> None:
    draw = np.random.default_rng(0).normal(size=astronaut.shape)

    def worse(step: int) -> np.ndarray:
        if change == "blur":
            return cv2.GaussianBlur(astronaut, (0, 0), step)
        if change == "shift":
            return np.roll(astronaut, step, axis=1)
        return (astronaut + 8 * step * draw).clip(0, 255).astype(np.uint8)

    for figure, sign in ((psnr_db, -1), (ssim, -1), (l1, 1)):
        values = [sign * figure(worse(step), astronaut) for step in (1, 2, 4)]
        assert values == sorted(values)
        assert values[0] < values[1] < values[2]


def test_frechet_distance_is_the_closed_form() -> None:
    draw = np.random.default_rng(1)
    sides = draw.normal(size=(2, 6, 6))
    first, second = (side @ side.T + np.eye(6) for side in sides)
    assert frechet_distance(np.zeros(6), first, np.zeros(6), first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(np.full(6, 2.0), first, np.zeros(6), first) == pytest.approx(24)
    # Of matrices that commute the distance is that of the roots.
    assert frechet_distance(np.zeros(6), 4 * np.eye(6), np.zeros(6), 9 * np.eye(6)) == pytest.approx(6)
    from scipy.linalg import sqrtm

    wanted = np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet_distance(np.zeros(6), first, np.zeros(6), second) == pytest.approx(wanted, abs=1e-6)


@given(st.integers(1, 30))
def test_gaussians_do_not_care_how_features_arrive(cut: int) -> None:
    features = np.random.default_rng(2).normal(size=(31, 4)) + 5
    parted = Gaussian(4)
    parted.add(features[:cut])
    parted.add(features[cut:])
    np.testing.assert_allclose(parted.mean, features.mean(axis=0))
    np.testing.assert_allclose(parted.covariance, np.cov(features.T), atol=1e-9)
    with pytest.raises(UsageError, match="at least two"):
        _ = Gaussian(4).covariance


def moved(landmarks: np.ndarray, yaw_deg: float = 0.0, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    own = head_frame(landmarks)
    pose = Similarity(from_euler_deg(yaw_deg, 0, 0) @ own.rotation, own.translation + shift, own.scale * scale)
    return pose.apply(own.apply_inverse(landmarks))


def test_motion_figures_on_constructed_motion(hopper_landmarks: np.ndarray) -> None:
    points = np.asarray(hopper_landmarks, np.float64)
    still = np.stack([points] * 6)
    turning = np.stack([moved(points, yaw_deg=3.0 * step) for step in range(6)])
    assert (akd(still, still), aed(turning, turning), apd_deg(turning, turning)) == (0, 0, pytest.approx(0, abs=1e-5))
    # Ten pixels along both axes for every landmark.
    apart = np.linalg.norm(points[33, :2] - points[263, :2])
    assert akd(still + 10, still) == pytest.approx(np.sqrt(200) / apart)
    # Place, size and turn do not touch expressions; a head that stays behind is 0, 3, 6, ... degrees away.
    elsewhere = np.stack([moved(points, yaw_deg=3.0 * step, shift=40, scale=1.5) for step in range(6)])
    assert aed(elsewhere, still) < 1e-6
    assert apd_deg(elsewhere, turning) == pytest.approx(0, abs=1e-4)
    assert apd_deg(still, turning) == pytest.approx(7.5, abs=1e-3)
    with pytest.raises(UsageError, match="pair them by time"):
        akd(still, still[:3])


def test_half_the_motion_and_frozen_frames_are_seen(hopper_landmarks: np.ndarray) -> None:
    points, lips = np.asarray(hopper_landmarks, np.float64), [14, 87, 317, 178, 402]
    driver = np.stack([points] * 12)
    driver[:, lips, 1] += 12 * (1 + np.sin(np.arange(12)))[:, None]
    mouth = openings(driver)["mouth"]
    half, late = (driver + np.stack([points] * 12)) / 2, np.roll(driver, 2, axis=0)
    assert correlation(mouth, mouth) == pytest.approx(1)
    assert correlation(openings(half)["mouth"], mouth) > 0.99
    assert correlation(openings(late)["mouth"], mouth) < 0.5
    assert correlation(np.zeros(12), mouth) == 0
    assert correlation(mouth, np.zeros(12)) is None
    assert 0 < aed(half, driver) < aed(np.stack([points] * 12), driver)
    assert jitter(driver, driver) == pytest.approx(1)
    assert jitter(half, driver) == pytest.approx(0.5, abs=0.01)
    assert jitter(driver, np.stack([points] * 12)) is None


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_similarities_of_the_plane_come_back(turn: float, scale: float, x: float, y: float) -> None:
    points = np.array([[0.0, 0], [3, 1], [-2, 4], [1, -5]])
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = fit_plane(points, points @ linear.T + [x, y])
    np.testing.assert_allclose(matrix, np.column_stack([linear, [x, y]]), atol=1e-8)
