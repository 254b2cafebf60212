"""Head matrices: where hand-made heads put points, and what resizing leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.head.matrix import (
    CANONICAL_UNITS,
    canonical,
    head_matrix,
    normalised,
    pixels,
    project,
    resized_px,
)

UPRIGHT = np.eye(3)
# The nose (z = -1 in head coordinates: towards the camera) turns towards larger x.
QUARTER_YAW = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_normalised_coordinates_put_one_at_the_outer_edges() -> None:
    assert normalised(np.array([-0.5, 3.5]), 4).tolist() == [-1.0, 1.0]
    assert normalised(np.array([1.5, 0.0]), 4).tolist() == [0.0, -0.75]
    assert pixels(np.array([0.0, -0.75]), 4).tolist() == [1.5, 0.0]


def test_origin_of_the_head_lands_at_its_translation() -> None:
    head = head_matrix(UPRIGHT, np.array([31.5, 47.5, 99.0]), 8.0, 64)
    assert head.dtype == np.float32
    assert project(head, np.zeros((1, 3))).tolist() == [[0.0, 0.5, 0.0]]


def test_exact_matrix_of_an_upright_head() -> None:
    head = head_matrix(UPRIGHT, np.array([31.5, 31.5, 0.0]), 16.0, 64)
    scale = 16.0 * CANONICAL_UNITS * 2 / 64
    assert head.tolist() == np.diag([scale, scale, scale, 1.0]).tolist()


def test_a_typical_crop_has_a_scale_near_one() -> None:
    # 2.5 heads of 22 cm (about 2.5 units) high: 512 px hold 6.2 units or so.
    assert head_matrix(UPRIGHT, np.zeros(3), 512 / 4.0, 512)[0, 0] == pytest.approx(1.0)


def test_head_turned_by_a_quarter_brings_the_nose_to_the_side() -> None:
    head = head_matrix(QUARTER_YAW, np.array([15.5, 15.5, 0.0]), 2.0, 32)
    nose = canonical(np.array([[0.0, 0.0, -1.0]]))
    place = pixels(project(head, nose)[0, :2], 32)
    assert place.tolist() == pytest.approx([15.5 + 2.0, 15.5])


def test_many_heads_at_once() -> None:
    heads = head_matrix(np.stack([UPRIGHT] * 2), np.array([[0.0, 0, 0], [7.0, 0, 0]]), np.array([1.0, 2.0]), 8)
    assert heads.shape == (2, 4, 4)
    assert heads[1, 0, 0] == 2 * heads[0, 0, 0]
    assert heads[:, 0, 3].tolist() == [-0.875, 0.875]


@given(st.integers(8, 1024), st.integers(8, 1024), st.floats(0.5, 200), st.floats(-50, 900), st.floats(-50, 900))
def test_resizing_the_picture_leaves_the_matrix_and_moves_landmarks_with_it(
    size: int, new: int, scale: float, x: float, y: float
) -> None:
    origin = np.array([x, y, 0.0])
    head = head_matrix(QUARTER_YAW, origin, scale, size)
    resized = head_matrix(QUARTER_YAW, resized_px(origin, size, new), scale * new / size, new)
    assert np.allclose(head, resized, rtol=1e-5, atol=1e-4)
    # A landmark of the head, projected by the matrix, is where the resized landmarks say.
    point = np.array([0.3, -0.7, 0.2])
    landmark = scale * QUARTER_YAW @ point + origin
    expected = resized_px(landmark, size, new)
    found = pixels(project(head, canonical(point)[None])[0, :2], new)
    assert np.allclose(found, expected[:2], rtol=1e-4, atol=1e-2)


def test_resizing_scales_depth_and_keeps_corners() -> None:
    points = np.array([[-0.5, -0.5, 2.0], [63.5, 63.5, -4.0]])
    assert resized_px(points, 64, 16).tolist() == [[-0.5, -0.5, 0.5], [15.5, 15.5, -1.0]]
