"""Boxes: overlap, suppression, windows."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face.boxes import cut_out, iou, keep_best, square


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (-5, 20, 5, 30), 0.0),
    ],
)
def test_iou(a: tuple, b: tuple, expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected)
    assert iou(b, a) == pytest.approx(expected)


def test_square_has_the_box_in_its_middle() -> None:
    assert square((10.0, 20.0, 30.0, 60.0), 2.0) == (-20.0, 0.0, 60.0, 80.0)


def test_the_better_of_two_boxes_of_one_face_stays() -> None:
    worse, better, other = ((0, 0, 10, 10), 0.6), ((1, 0, 11, 10), 0.9), ((30, 0, 40, 10), 0.7)
    assert keep_best([worse, better, other]) == [better, other]
    assert keep_best([worse, better], same=0.95) == [better, worse]


def test_a_chain_of_overlaps_keeps_both_ends() -> None:
    chain = [((0, 0, 10, 10), 0.7), ((4, 0, 14, 10), 0.9), ((8, 0, 18, 10), 0.8)]
    assert [score for _, score in keep_best(chain)] == [0.9]
    chain[1] = (chain[1][0], 0.1)
    assert [score for _, score in keep_best(chain)] == [0.8, 0.7]


def test_window_is_cut_to_the_picture() -> None:
    picture = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    found = cut_out(picture, (-5.0, 10.2, 25.5, 90.0))
    assert found is not None
    part, left, top = found
    assert (left, top) == (0, 10)
    np.testing.assert_array_equal(part, picture[10:40, 0:26])
    assert part.flags.c_contiguous


@pytest.mark.parametrize("window", [(-50.0, 0.0, -10.0, 30.0), (0.0, 0.0, 15.0, 40.0), (100.0, 100.0, 200.0, 200.0)])
def test_hardly_anything_is_nothing(window: tuple) -> None:
    assert cut_out(np.zeros((40, 60, 3), np.uint8), window) is None
