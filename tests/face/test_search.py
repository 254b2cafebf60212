"""Squares that are searched for faces: they cover the picture, and no more of them than needed are looked at."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.face.search import SMALLEST_FACE_PX, Pyramid, affordable_px, least_px, sides, squares, touches


def test_levels_end_where_the_smallest_face_is_seen() -> None:
    assert sides(1000, 100, 0.1) == [1000.0]
    assert sides(800, 100, 0.1) == [800.0]
    assert sides(4000, 100, 0.1) == pytest.approx([4000, 2000, 1000])
    assert sides(1500, 100, 0.1) == pytest.approx([1500, 1000])
    assert sides(10**5, math.inf, 0.1) == [10**5]


@given(st.integers(16, 6000), st.floats(20, 500), st.sampled_from([0.1, 0.115, 0.17]))
def test_no_size_falls_between_two_levels(longest: int, least: float, reach: float) -> None:
    found = sides(longest, least, reach)
    assert found[0] == longest
    assert reach * found[-1] <= least * (1 + 1e-9) or len(found) == 1
    assert all(0.5 - 1e-9 <= fine / coarse < 1 for coarse, fine in pairwise(found))


@given(st.integers(8, 4000), st.integers(8, 4000), st.floats(50, 5000), st.data())
def test_a_face_lies_whole_in_one_square(width: int, height: int, side: float, data: st.DataObject) -> None:
    covering = list(squares(width, height, side))
    face = min(math.floor(0.3 * side), width, height)
    x, y = data.draw(st.integers(0, width - face)), data.draw(st.integers(0, height - face))
    assert any(a <= x and x + face <= a + s and b <= y and y + face <= b + s for a, b, s in covering)
    assert all(0 <= a < width and 0 <= b < height for a, b, _ in covering)
    assert len({(a, b) for a, b, _ in covering}) == len(covering)


@given(st.integers(60, 300_000), st.integers(60, 300_000))
def test_the_largest_pictures_take_no_thousands_of_squares(width: int, height: int) -> None:
    height = min(height, max(60, 300_000_000 // width))
    least = max(SMALLEST_FACE_PX, affordable_px(width, height, 0.115))
    finest = sides(max(width, height), least, 0.115)[-1]
    assert len(list(squares(width, height, finest))) <= 850
    assert least == SMALLEST_FACE_PX or width * height > 25_000_000 or max(width, height) > 8 * min(width, height)


def test_photos_of_50_megapixels_are_searched_for_the_smallest_faces() -> None:
    assert affordable_px(8192, 6144, 0.115) < SMALLEST_FACE_PX


def test_one_square_for_the_whole_picture() -> None:
    assert list(squares(1920, 1080, 1920.0)) == [(0, 0, 1920)]
    assert list(squares(7, 5, 7.0)) == [(0, 0, 7)]


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((100.5, 150, 160, 210), True),  # its left side lies where the square cuts the picture
        ((102, 150, 299.5, 210), True),
        ((150, 102, 210, 190), False),
        ((150, -3, 210, 60), False),  # beyond the picture's own edge nothing is cut
        ((150, 150, 210, 199.5), False),
    ],
)
def test_half_a_face_is_left_to_another_square(box: tuple[float, ...], cut: bool) -> None:
    assert touches(box, (100, 0, 300, 200), 640, 200) == cut


def test_parts_of_large_squares_are_averages() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), np.uint8)
    pyramid = Pyramid(picture)
    np.testing.assert_array_equal(pyramid.cut(400, 300, 700), picture[300:1000, 400:1100])
    half = pyramid.cut(400, 200, 900)
    assert half.shape == (450, 450, 3)
    means = picture[200:1100, 400:1300].reshape(450, 2, 450, 2, 3).mean((1, 3))
    assert np.abs(half - means).max() <= 0.51
    assert pyramid.cut(0, 0, 1600).shape == (400, 400, 3)
    assert pyramid.cut(1500, 1590, 30).shape == (10, 30, 3)


def test_lost_faces_are_searched_for_closely_and_none_seen_yet_now_and_then() -> None:
    assert least_px(400.0, 7) == 200.0
    assert least_px(70.0, 7) == 60.0
    assert [number for number in range(30) if math.isfinite(least_px(None, number))] == [0, 12, 24]
