"""Head crops: the right pixels at sub-pixel places, in order, with bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.face.types import Face
from avatarkit.head.crops import HeadCropper, cut_window
from avatarkit.head.framing import LOOK_AHEAD, Window, wanted

Move = Callable[..., Face]


def ramp(height: int, width: int, per_px: float = 0.25) -> np.ndarray:
    """A picture that tells where it was taken: red is x, green is y, a quarter of a level for each pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * per_px, y * per_px, 0 * x], 2).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("x", "y", "side"), [(100.0, 90.0, 64.0), (100.3, 90.7, 64.0), (120.2, 80.4, 150.6), (60.0, 60.0, 31.5)]
)
def test_window_is_cut_at_sub_pixel_places(x: float, y: float, side: float) -> None:
    found = cut_window(ramp(200, 240, per_px=1.0), Window(x, y, side), 64)
    expected = (np.arange(64) + 0.5) * side / 64 - side / 2 - 0.5
    inner = slice(4, -4)
    assert np.abs(found[32, inner, 0] - (x + expected)[inner]).max() < 0.76
    assert np.abs(found[inner, 32, 1] - (y + expected)[inner]).max() < 0.76


def test_whole_pixel_window_of_the_stored_size_is_a_copy(astronaut: np.ndarray) -> None:
    assert (cut_window(astronaut, Window(164.0, 132.0, 128.0), 128) == astronaut[68:196, 100:228]).all()


@pytest.mark.parametrize("factor", [1.0, 2.2])
def test_crops_come_in_order_half_a_second_late_and_show_the_place_they_name(
    dense_face: Face, moved: Move, factor: float
) -> None:
    cropper, frame = HeadCropper(64), ramp(1020, 1020)
    faces = {n: moved(dense_face, 40 + 3 * n, 20 + 2 * n, factor) for n in range(40) if n not in (10, 11, 25)}
    found = []
    for number, face in faces.items():
        due = list(cropper.push(number, frame, face))
        assert all(crop.number <= number - LOOK_AHEAD for crop in due)
        assert len(cropper._waiting) <= LOOK_AHEAD
        found += due
    found += list(cropper.flush())
    assert [crop.number for crop in found] == list(faces)
    for crop in found:
        assert crop.picture.shape == (64, 64, 3)
        assert crop.face is faces[crop.number]
        middle = crop.crop.to_picture(np.array([[31.5, 31.5], [10.0, 50.0]]))
        assert np.abs(crop.picture[31:33, 31:33, :2].mean((0, 1)) / 0.25 - middle[0]).max() < 3.0
        assert np.abs(crop.picture[49:52, 9:12, :2].mean((0, 1)) / 0.25 - middle[1]).max() < 3.0
        assert crop.head_px == pytest.approx(min(wanted(crop.head).side, 1020.0), rel=1e-6)
    asked = wanted(found[20].head)
    assert (found[20].crop.left, found[20].crop.width) == pytest.approx((asked.left, asked.side), rel=1e-3)


def test_head_at_the_border_gets_a_square_within_the_picture(dense_face: Face, moved: Move) -> None:
    cropper, frame = HeadCropper(64), ramp(360, 500)
    crops = []
    for n in range(20):
        crops += list(cropper.push(n, frame, moved(dense_face, -150 - 2 * n, -60)))
    for crop in [*crops, *cropper.flush()]:
        assert crop.crop.left == pytest.approx(0, abs=1e-6)
        assert crop.crop.top >= -1e-6
        assert crop.crop.width == crop.crop.height
        # No invented pixels: the picture itself begins at the crop's edge.
        assert crop.picture[:, 0, 0].max() <= 1


def test_picture_smaller_than_the_square_reduces_it(dense_face: Face) -> None:
    cropper, frame = HeadCropper(64), ramp(230, 330)
    list(cropper.push(0, frame, dense_face))
    (crop,) = cropper.flush()
    assert crop.crop.width == pytest.approx(230)
    assert crop.head_px == pytest.approx(230)


def test_memory_is_that_of_the_stored_size_for_a_huge_head(dense_face: Face, moved: Move) -> None:
    cropper = HeadCropper(64)
    frame = np.zeros((2400, 2400, 3), np.uint8)
    for n in range(20):
        list(cropper.push(n, frame, moved(dense_face, 0, 0, 4.5)))
    held = sum(waiting.part.nbytes for waiting in cropper._waiting)
    assert held < LOOK_AHEAD * (64 * 1.4 * 1.25 * 2) ** 2 * 3
