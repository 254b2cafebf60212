"""Crops: there and back, exact pixels, and always inside the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.geometry.crop import Crop, cut, head_crop, union, with_head_room

COORDINATE = st.floats(-3000, 3000)


def picture(height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def face_at(x: float, y: float, size: float) -> np.ndarray:
    """Landmarks of a face `size` high and somewhat narrower, (5, 3)."""
    offsets = np.array([[-0.4, 0, 0], [0.4, 0, 0], [0, -0.5, 0], [0, 0.5, 0], [0, 0, -0.3]])
    return np.array([x, y, 0.0]) + size * offsets


@given(
    st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 4000), st.integers(16, 2048),
    st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=1, max_size=4),
)  # fmt: skip
def test_there_and_back(
    left: float, top: float, side: float, size: int, points: list[tuple[float, float, float]]
) -> None:
    crop, points_px = Crop.square(left, top, side, size), np.array(points)
    np.testing.assert_allclose(crop.to_picture(crop.to_crop(points_px)), points_px, atol=1e-6)
    np.testing.assert_allclose(crop.to_picture(crop.to_crop(points_px[:, :2])), points_px[:, :2], atol=1e-6)


def test_pixel_centres_and_corners() -> None:
    crop = Crop.square(10.0, 20.0, 50.0, 100)
    assert crop.scale == 2.0
    # The outer corner of the window's first pixel is that of the crop's first pixel.
    np.testing.assert_allclose(crop.to_crop(np.array([9.5, 19.5])), [-0.5, -0.5])
    np.testing.assert_allclose(crop.to_crop(np.array([10.0, 20.0, 3.0])), [0.5, 0.5, 6.0])
    np.testing.assert_allclose(crop.to_picture(np.array([99.5, 99.5])), [59.5, 69.5])


def test_the_points_given_are_left_alone() -> None:
    points = np.ones((4, 3), np.float32)
    Crop.square(5.0, 5.0, 10.0, 20).to_crop(points)
    assert np.all(points == 1.0)


@pytest.mark.parametrize(("left", "top", "side"), [(0, 0, 90), (30, 0, 90), (17, 23, 41)])
def test_same_size_copies_pixels(left: int, top: int, side: int) -> None:
    whole = picture()
    part = cut(whole, Crop.square(left, top, side, side))
    np.testing.assert_array_equal(part, whole[top : top + side, left : left + side])
    part[:] = 0
    np.testing.assert_array_equal(whole, picture())


def test_pasted_back_gives_the_same_picture() -> None:
    whole = picture()
    crop = head_crop(face_at(70, 40, 30), 120, 90, 72)
    crop = Crop.square(crop.left, crop.top, crop.width, int(crop.width))
    pasted = whole.copy()
    top, left, side = int(crop.top), int(crop.left), int(crop.width)
    pasted[top : top + side, left : left + side] = cut(whole, crop)
    np.testing.assert_array_equal(pasted, whole)


@pytest.mark.parametrize("size", [32, 64, 200])
def test_points_and_pixels_agree(size: int) -> None:
    """A blob's centre of mass in the cut picture is where its centre is mapped to."""
    y, x = np.mgrid[0:90, 0:120]
    blob = 200.0 * np.exp(-((x - 60.0) ** 2 + (y - 47.0) ** 2) / (2 * 5.0**2))
    whole = np.repeat(blob.round().astype(np.uint8)[..., None], 3, axis=2)
    crop = Crop.square(25.0, 12.0, 64.0, size)
    part = cut(whole, crop)[..., 0].astype(float)
    assert part.shape == (size, size)
    rows, columns = np.mgrid[0:size, 0:size]
    centre = np.array([(columns * part).sum(), (rows * part).sum()]) / part.sum()
    np.testing.assert_allclose(centre, crop.to_crop(np.array([60.0, 47.0])), atol=0.05 * crop.scale)


@given(
    st.integers(40, 2000),
    st.integers(40, 2000),
    st.floats(-0.2, 1.2),
    st.floats(-0.2, 1.2),
    st.floats(0.05, 1.5),
)
def test_head_crop_stays_inside(width: int, height: int, x: float, y: float, size: float) -> None:
    crop = head_crop(face_at(x * width, y * height, size * min(width, height)), width, height, 256)
    assert crop.shown == (256, 256)
    assert crop.width >= 1
    assert crop.left == int(crop.left)
    assert crop.top == int(crop.top)
    assert crop.width == int(crop.width)
    assert crop.left >= 0
    assert crop.top >= 0
    assert crop.left + crop.width <= width
    assert crop.top + crop.width <= height


def test_head_crop_holds_the_face_and_its_surroundings() -> None:
    landmarks = face_at(500, 400, 200)
    crop = head_crop(landmarks, 1000, 1000, 512)
    seen = crop.to_crop(landmarks)
    assert np.all(seen[:, :2] > 0.15 * 512)
    assert np.all(seen[:, :2] < 0.85 * 512)
    assert seen[:4, 0].mean() == pytest.approx(255.5, abs=2)


def test_head_crop_of_a_narrow_picture_is_as_large_as_it_allows() -> None:
    crop = head_crop(face_at(50, 300, 90), 100, 600, 64)
    assert (crop.left, crop.width) == (0, 100)


def test_union_covers_the_points_inside_the_picture() -> None:
    crop = Crop.square(20.0, 30.0, 40.0, 80)
    grown = union(crop, np.array([[-5.0, 45.0], [70.2, 50.0]]), 90, 60)
    assert grown == Crop(0.0, 30.0, 71.0, 30.0, 1.0)
    assert grown.window == (slice(30, 60), slice(0, 71))


def test_union_of_points_inside_is_the_crop_itself() -> None:
    crop = Crop.square(20.0, 30.0, 40.0, 40)
    assert union(crop, np.array([[25.0, 35.0]]), 200, 200) == crop


@pytest.mark.parametrize(("left", "top", "side", "size"), [(30, 20, 50, 100), (0, 40, 50, 33), (10, 0, 80, 80)])
def test_a_grown_crop_holds_the_crop_and_stays_in_the_picture(left: int, top: int, side: int, size: int) -> None:
    crop = Crop.square(left, top, float(side), size)
    outer = crop.grown(0.2, (120, 90))
    assert outer.left >= 0
    assert outer.top >= 0
    assert outer.left + outer.width <= 120
    assert outer.top + outer.height <= 90
    assert outer.left == max(left - round(0.2 * side), 0)
    rows, columns = crop.within(outer)
    width, height = outer.shown
    assert (columns.stop - columns.start, rows.stop - rows.start) == crop.shown
    assert 0 <= columns.start < columns.stop <= width
    assert 0 <= rows.start < rows.stop <= height
    corner = outer.to_crop(np.array([crop.left, crop.top]) - 0.5) + 0.5
    np.testing.assert_allclose(corner, [columns.start, rows.start], atol=0.501)


def test_a_crop_grows_by_nothing_in_a_picture_that_it_fills() -> None:
    crop = Crop.square(0, 0, 90.0, 45)
    assert crop.grown(0.2, (90, 90)) == crop
    assert crop.within(crop) == (slice(0, 45), slice(0, 45))


@pytest.mark.parametrize(
    ("hair_top", "lowest", "room", "wanted"),
    [
        (150.0, 300.0, 0.2, (100.0, 200.0)),  # enough already
        (110.0, 250.0, 0.2, (70.0, 200.0)),  # raised
        (110.0, 300.0, 0.2, (62.0, 238.0)),  # raised, and enlarged for the chin's sake
        (10.0, 150.0, 0.2, (0.0, 200.0)),  # as far as the picture reaches
    ],
)
def test_head_room(hair_top: float, lowest: float, room: float, wanted: tuple[float, float]) -> None:
    crop = with_head_room(Crop.square(100.0, 100.0, 200.0, 400), hair_top, lowest, room, 400, 500)
    assert (crop.top, crop.width) == wanted
    assert crop.shown == (400, 400)
    assert 0.0 <= crop.left <= 400.0 - crop.width
    assert abs(crop.left + crop.width / 2.0 - 200.0) <= 1.0


@given(st.floats(0, 400), st.floats(1, 300), st.floats(0, 0.4), st.integers(300, 600), st.integers(500, 900))
def test_head_room_stays_inside(hair_top: float, head: float, room: float, width: int, height: int) -> None:
    crop = with_head_room(Crop.square(50.0, 80.0, 200.0, 256), hair_top, hair_top + head, room, width, height)
    assert crop.left >= 0.0
    assert crop.top >= 0.0
    assert crop.left + crop.width <= width
    assert crop.top + crop.height <= height
