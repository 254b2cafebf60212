"""Rasterising triangles: every centre once, nearest in front, samples inside their triangles."""

from __future__ import annotations

import numpy as np

from avatarkit.systems.landmark_warp.mesh import face_pixels, rasterised


def triangle(*corners: tuple[float, float], depth: float = 0.0) -> np.ndarray:
    return np.array([[x, y, depth] for x, y in corners])


def test_a_triangle_covers_the_centres_inside_it() -> None:
    numbers = rasterised(triangle((0, 0), (4, 0), (0, 4))[None], (5, 5))
    expected = [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(numbers, expected)


def test_back_faces_and_slivers_between_centres_are_left_out() -> None:
    away, thin = triangle((0, 0), (0, 4), (4, 0)), triangle((0.2, 0.4), (3.8, 0.5), (0.2, 0.6))
    assert not rasterised(np.stack([away, thin]), (5, 5)).any()


def test_the_nearest_triangle_is_in_front() -> None:
    shape = (0, 0), (6, 0), (0, 6)
    stack = np.stack([triangle(*shape, depth=-2.0), triangle(*shape, depth=3.0), triangle(*shape, depth=0.0)])
    assert set(np.unique(rasterised(stack, (6, 6)))) == {0, 1}


def test_a_mesh_has_no_gaps_and_no_overlaps() -> None:
    """A jittered grid of triangles covers each centre inside exactly once, whichever is drawn last."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.linspace(-1, 31, 9), np.linspace(-1, 31, 9)), axis=2)
    grid[1:-1, 1:-1] += rng.uniform(-1.6, 1.6, (7, 7, 2))
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    flat = np.concatenate([np.stack(half, axis=2).reshape(-1, 3, 2) for half in ((a, b, c), (a, c, d))])
    triangles = np.dstack([flat, np.zeros((*flat.shape[:2], 1))])
    counts = sum((rasterised(one[None], (30, 30)) > 0).astype(int) for one in triangles)
    np.testing.assert_array_equal(counts, np.ones((30, 30)))


def test_triangles_beyond_the_frame_are_cut() -> None:
    numbers = rasterised(triangle((-50, -50), (90, -50), (-50, 90))[None], (8, 9))
    assert numbers.shape == (8, 9)
    assert numbers.all()


def test_weights_stay_within_the_triangle_even_in_slivers() -> None:
    """Each pixel's own place comes back from its weights, to a hundredth of a pixel."""
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 60, (300, 1, 2))
    corners = np.dstack([base + rng.normal(0, 1, (300, 3, 2)) * [12.0, 0.7], rng.uniform(0, 9, (300, 3, 1))])
    pixels = face_pixels(corners, (64, 64))
    assert pixels is not None
    assert min(pixels.second.min(), pixels.third.min(), (1 - pixels.second - pixels.third).min()) > -1e-6
    y, x = np.divmod(pixels.places, pixels.window[1].stop - pixels.window[1].start)
    for axis, own in ((0, x + pixels.window[1].start), (1, y + pixels.window[0].start)):
        there = pixels.interpolated(corners[..., axis].astype(np.float32))
        np.testing.assert_allclose(there, own, atol=0.01)
