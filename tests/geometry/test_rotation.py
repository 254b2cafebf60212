"""Rotations: exact matrices, round trips, fractions of a turn, averages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.geometry.rotation import (
    angle_deg,
    from_euler_deg,
    from_vector,
    nearest,
    scaled,
    to_euler_deg,
    to_vector,
)

ANGLE = st.floats(-179.0, 179.0)
PITCH = st.floats(-89.0, 89.0)
VECTOR = st.tuples(*[st.floats(-1.7, 1.7)] * 3).map(np.array)


@pytest.mark.parametrize(
    ("angles_deg", "expected"),
    [
        ((0, 0, 0), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ((90, 0, 0), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
        ((0, 90, 0), [[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
        ((0, 0, 90), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        # Roll first, then pitch, then yaw.
        ((90, 90, 0), [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]),
        ((90, 0, 90), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)
def test_exact_matrices(angles_deg: tuple[float, float, float], expected: list[list[int]]) -> None:
    np.testing.assert_allclose(from_euler_deg(*angles_deg), expected, atol=1e-15)


@pytest.mark.parametrize(
    ("angles_deg", "axis", "sign"),
    [((10, 0, 0), 0, -1), ((0, 10, 0), 1, 1)],
)
def test_directions_of_the_nose(angles_deg: tuple[float, float, float], axis: int, sign: int) -> None:
    """Positive yaw turns the nose (which points to the camera) to smaller x, positive pitch down."""
    nose = from_euler_deg(*angles_deg) @ [0.0, 0.0, -1.0]
    assert np.sign(nose[axis]) == sign


def test_positive_roll_is_clockwise_in_the_picture() -> None:
    crown = from_euler_deg(0, 0, 10) @ [0.0, -1.0, 0.0]
    assert crown[0] > 0


@given(ANGLE, PITCH, ANGLE)
def test_euler_round_trip(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    rotation = from_euler_deg(yaw_deg, pitch_deg, roll_deg)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(to_euler_deg(rotation), (yaw_deg, pitch_deg, roll_deg), atol=1e-6)


@pytest.mark.parametrize("pitch_deg", [90.0, -90.0])
@pytest.mark.parametrize(("yaw_deg", "roll_deg"), [(0, 0), (30, 0), (-100, 20), (170, -45)])
def test_gimbal_lock_keeps_the_rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    rotation = from_euler_deg(yaw_deg, pitch_deg, roll_deg)
    angles_deg = to_euler_deg(rotation)
    assert angles_deg[2] == 0.0
    np.testing.assert_allclose(from_euler_deg(*angles_deg), rotation, atol=1e-7)


@given(VECTOR)
def test_vector_round_trip(vector: np.ndarray) -> None:
    np.testing.assert_allclose(to_vector(from_vector(vector)), vector, atol=1e-7)


@pytest.mark.parametrize("length", [0.0, 1e-15, 1e-9, 1e-5])
def test_tiny_turns(length: float) -> None:
    vector = np.array([2.0, -1.0, 2.0]) / 3.0 * length
    np.testing.assert_allclose(to_vector(from_vector(vector)), vector, atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (-1, 2, 3)])
@pytest.mark.parametrize("short_by", [0.0, 1e-9, 1e-5])
def test_half_turns(axis: tuple[int, int, int], short_by: float) -> None:
    unit = np.array(axis, float) / np.linalg.norm(axis)
    rotation = from_vector(unit * (np.pi - short_by))
    vector = to_vector(rotation)
    assert np.linalg.norm(vector) == pytest.approx(np.pi, abs=1e-4)
    np.testing.assert_allclose(from_vector(vector), rotation, atol=1e-6)


@given(VECTOR)
def test_two_halves_make_the_whole(vector: np.ndarray) -> None:
    rotation = from_vector(vector)
    half = scaled(rotation, 0.5)
    np.testing.assert_allclose(half @ half, rotation, atol=1e-9)


@pytest.mark.parametrize(
    ("factor", "angle"), [(0.0, 0.0), (0.5, 20.0), (1.0, 40.0), (2.0, 80.0), (-1.0, -40.0)]
)
def test_scaled_keeps_the_axis(factor: float, angle: float) -> None:
    np.testing.assert_allclose(
        scaled(from_euler_deg(40, 0, 0), factor), from_euler_deg(angle, 0, 0), atol=1e-12
    )


@given(VECTOR, st.integers(0, 2**32 - 1))
def test_nearest_removes_scale_and_small_noise(vector: np.ndarray, seed: int) -> None:
    rotation = from_vector(vector)
    np.testing.assert_allclose(nearest(3.0 * rotation), rotation, atol=1e-12)
    noisy = rotation + np.random.default_rng(seed).normal(0.0, 1e-3, (3, 3))
    found = nearest(noisy)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-12)
    assert angle_deg(found, rotation) < 0.5


def test_nearest_never_reflects_and_works_on_stacks() -> None:
    stack = np.stack([np.diag([1.0, 1.0, -1.0]), np.diag([2.0, 3.0, 4.0]), from_euler_deg(10, 20, 30)])
    found = nearest(stack)
    np.testing.assert_allclose(np.linalg.det(found), 1.0)
    np.testing.assert_allclose(found[1], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found[2], stack[2], atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1.0, 30.0, 90.0, 179.0])
def test_angle_between(angle: float) -> None:
    base = from_euler_deg(12, -34, 56)
    assert angle_deg(base, base @ from_euler_deg(0, angle, 0)) == pytest.approx(angle, abs=1e-6)
