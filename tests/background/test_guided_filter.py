"""Exact values of the guided filter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.background.guided_filter import guided_filter, guided_upsample
from avatarkit.errors import UsageError


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).random(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_constant_guide_gives_box_mean(shape: tuple[int, ...], value: float) -> None:
    target = noise(20, 30)
    once = cv2.blur(target, (5, 5), borderType=cv2.BORDER_REFLECT)
    mean = cv2.blur(once, (5, 5), borderType=cv2.BORDER_REFLECT)
    out = guided_filter(np.full(shape, value, np.float32), target, 2, 1e-3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, mean, atol=2e-6)


def test_guide_equal_to_target_returns_it_as_eps_vanishes() -> None:
    target = noise(24, 24)
    np.testing.assert_allclose(guided_filter(target, target, 3, 1e-7), target, atol=1e-4)


def test_affine_of_a_color_guide_is_kept() -> None:
    guide = noise(24, 24, 3)
    target = (0.2 + guide @ np.array([0.5, -0.3, 0.1], np.float32)).astype(np.float32)
    np.testing.assert_allclose(guided_filter(guide, target, 4, 1e-7), target, atol=1e-3)


def test_uint8_guide_means_the_same_as_float() -> None:
    guide = (noise(16, 16, 3) * 255).astype(np.uint8)
    target = noise(16, 16)
    as_float = guided_filter(guide.astype(np.float32) / 255, target, 2, 1e-3)
    np.testing.assert_allclose(guided_filter(guide, target, 2, 1e-3), as_float, atol=1e-5)


def test_equal_weights_change_little_and_zero_weight_is_ignored() -> None:
    guide, target = noise(20, 20), np.full((20, 20), 0.25, np.float32)
    target[10, 10] = 1.0
    weight = np.ones((20, 20), np.float32)
    weight[10, 10] = 0
    np.testing.assert_allclose(guided_filter(guide, target, 3, 1e-3, weight), 0.25, atol=1e-5)


def test_upsampling_follows_the_large_picture() -> None:
    x = np.arange(1200)[None, :] * np.ones((40, 1))
    mask = (x >= 611).astype(np.float32)
    large = np.repeat((mask * 200 + 20).astype(np.uint8)[..., None], 3, 2)
    small = np.asarray(cv2.resize(large, (300, 10), interpolation=cv2.INTER_AREA), np.uint8)
    low = np.asarray(cv2.resize(mask, (300, 10), interpolation=cv2.INTER_AREA), np.float32)
    np.testing.assert_allclose(guided_upsample(large, small, low, 2, 1e-4), mask, atol=0.03)


@pytest.mark.parametrize(("radius_px", "eps"), [(0, 1e-3), (2, 0.0)])
def test_refuses_bad_settings(radius_px: int, eps: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        guided_filter(noise(8, 8), noise(8, 8), radius_px, eps)


def test_refuses_different_sizes() -> None:
    with pytest.raises(UsageError, match="one size"):
        guided_filter(noise(8, 8), noise(8, 9), 2, 1e-3)
