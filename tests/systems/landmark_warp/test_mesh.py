"""Rasterising triangles: every centre once, nearest in front, samples inside their triangles."""

from __future__ import annotations

import numpy as np

from avatarkit.metrics.artefacts import off_triangle_px
from avatarkit.systems.landmark_warp.mesh import Cover

from ..conftest import rasterised


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


def slivers() -> tuple[np.ndarray, Cover]:
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 60, (300, 1, 2))
    corners = np.dstack([base + rng.normal(0, 1, (300, 3, 2)) * [12.0, 0.7], rng.uniform(0, 9, (300, 3, 1))])
    cover = Cover.of(corners, (64, 64))
    assert cover is not None
    return corners, cover


def seen(cover: Cover, values: np.ndarray) -> np.ndarray:
    """Values at the pixels that are seen, in order, from those at the corners."""
    image = np.zeros(cover.shape, np.complex64 if np.iscomplexobj(values) else np.float32)
    image.reshape(-1)[cover.places] = cover.values(values)
    return image[cover.numbers > 0]


def test_each_pixel_finds_its_own_place_even_in_slivers() -> None:
    """By its weights within its triangle, and by the triangle's plane, to a hundredth of a pixel."""
    corners, cover = slivers()
    pixels = cover.pixels()
    assert min(pixels.second.min(), pixels.third.min(), (1 - pixels.second - pixels.third).min()) > -1e-6
    y, x = np.nonzero(cover.numbers)
    for axis, own in ((0, x + cover.window[1].start), (1, y + cover.window[0].start)):
        values = corners[..., axis].astype(np.float32)
        np.testing.assert_allclose(pixels.interpolated(values), own, atol=0.01)
        np.testing.assert_allclose(seen(cover, values), own, atol=0.01)


def test_samples_stay_in_their_triangles() -> None:
    _, cover = slivers()
    source = np.random.default_rng(2).uniform(0, 500, (300, 3, 2))
    both = seen(cover, source[..., 0] + 1j * source[..., 1])
    places = np.stack([both.real, both.imag], axis=1)
    assert off_triangle_px(places, source[cover.numbers[cover.numbers > 0] - 1]).max() < 0.01
    some = (np.arange(300) % 3 == 0)[cover.spans.triangles]
    np.testing.assert_array_equal(cover.spans.numbers(some), np.flatnonzero(cover.spans.spread(some)))
    whole = cover.values(source[..., 0])
    np.testing.assert_array_equal(cover.values(source[..., 0], some), whole[cover.spans.numbers(some)])


def test_some_triangles_alone() -> None:
    _, cover = slivers()
    these = np.arange(300) % 3 == 0
    part = cover.pixels(these)
    assert 0 < len(part.places) < len(cover.pixels().places)
    assert these[part.triangles].all()
    assert np.count_nonzero(part.image(np.ones(len(part.places), np.float32))) == len(part.places)


def test_seams_are_where_the_cover_ends_and_what_is_shown_jumps() -> None:
    """A square over the left half of the frame: its right edge hides something, its other edges join."""
    corners = np.stack([triangle((4, 4), (16, 4), (16, 24)), triangle((4, 4), (16, 24), (4, 24))])
    cover = Cover.of(corners, (30, 40))
    assert cover is not None
    rows, columns = (np.ascontiguousarray(plane) for plane in np.mgrid[0:30, 0:40].astype(np.float32))
    assert not len(cover.seams(columns, rows)[0])
    columns[:, 16:] += 30.0
    y, x = cover.seams(columns, rows)
    assert set(x.tolist()) <= {15, 16}
    assert {*range(6, 22)} <= set(y.tolist())
