"""Similarities: known ones are recovered from point pairs, with weights and under noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.geometry.rotation import angle_deg, from_euler_deg, from_vector
from avatarkit.geometry.similarity import Similarity, fit

ANGLES = st.tuples(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180))
SHIFT = st.tuples(*[st.floats(-500, 500)] * 3)


def cloud(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 1.0, (count, 3))


def test_apply_is_scale_then_rotation_then_shift() -> None:
    similarity = Similarity(from_euler_deg(0, 0, 90), np.array([10.0, 20.0, 30.0]), 2.0)
    np.testing.assert_allclose(similarity.apply(np.array([1.0, 0.0, 3.0])), [10.0, 22.0, 36.0], atol=1e-12)
    np.testing.assert_allclose(similarity.apply(np.array([[0.0, 1.0, 0.0]])), [[8.0, 20.0, 30.0]], atol=1e-12)


@given(ANGLES, SHIFT, st.floats(0.01, 1000), st.integers(0, 2**32 - 1))
def test_known_transform_is_recovered(
    angles_deg: tuple[float, float, float], shift: tuple[float, float, float], scale: float, seed: int
) -> None:
    known = Similarity(from_euler_deg(*angles_deg), np.array(shift), scale)
    points = cloud(seed)
    found = fit(points, known.apply(points))
    np.testing.assert_allclose(found.rotation, known.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, known.translation, atol=1e-9 * (scale + 500))
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.apply_inverse(known.apply(points)), points, atol=1e-7)


def test_outliers_without_weight_change_nothing() -> None:
    known = Similarity(from_euler_deg(20, -10, 5), np.array([3.0, 4.0, 5.0]), 80.0)
    points = cloud(1)
    targets = known.apply(points)
    targets[:5] += 1000.0
    weights = np.ones(len(points))
    weights[:5] = 0.0
    found = fit(points, targets, weights)
    np.testing.assert_allclose(found.rotation, known.rotation, atol=1e-9)
    assert found.scale == pytest.approx(80.0)
    assert angle_deg(fit(points, targets).rotation, known.rotation) > 1.0


def test_integer_weights_act_like_repeated_points() -> None:
    rng = np.random.default_rng(2)
    points, targets = cloud(3, 8), cloud(3, 8) + rng.normal(0.0, 0.1, (8, 3))
    times = np.array([1, 2, 3, 1, 1, 2, 1, 4])
    weighted = fit(points, targets, times)
    repeated = fit(points.repeat(times, axis=0), targets.repeat(times, axis=0))
    np.testing.assert_allclose(weighted.rotation, repeated.rotation, atol=1e-10)
    np.testing.assert_allclose(weighted.translation, repeated.translation, atol=1e-10)
    assert weighted.scale == pytest.approx(repeated.scale)


@given(st.integers(0, 2**32 - 1))
def test_noise_averages_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = Similarity(from_vector(rng.normal(0.0, 0.5, 3)), rng.normal(0.0, 100.0, 3), 100.0)
    points = cloud(seed, 200)
    found = fit(points, known.apply(points) + rng.normal(0.0, 1.0, (200, 3)))
    assert angle_deg(found.rotation, known.rotation) < 0.5
    assert found.scale == pytest.approx(100.0, rel=0.01)
    np.testing.assert_allclose(found.translation, known.translation, atol=0.5)


def test_no_small_change_fits_better() -> None:
    rng = np.random.default_rng(5)
    points = cloud(6)
    targets = 3.0 * points @ from_euler_deg(15, 5, -8).T + rng.normal(0.0, 0.3, points.shape)
    best = fit(points, targets)

    def cost(similarity: Similarity) -> float:
        return float(np.sum((similarity.apply(points) - targets) ** 2))

    for step in np.vstack([np.eye(7), -np.eye(7)]) * 1e-3:
        moved = Similarity(
            from_vector(step[:3]) @ best.rotation, best.translation + step[3:6], best.scale + step[6]
        )
        assert cost(moved) > cost(best)


def test_mirror_images_are_not_fitted_by_a_reflection() -> None:
    points = cloud(7)
    found = fit(points, points * [-1.0, 1.0, 1.0])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
