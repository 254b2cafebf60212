"""Holes filled with patches: lines go on, colours come from the known pixels, and nothing depends on chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.patch_fill import fill_patches

Image = NDArray[np.uint8]


def stripes(period: int = 24, side: int = 192) -> Image:
    """Vertical stripes of two colours."""
    x = np.arange(side) // (period // 2) % 2
    colors = np.array([[200, 60, 40], [30, 90, 180]], np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colors[x], (side, side, 3)))


def square_hole(side: int = 192) -> NDArray[np.bool_]:
    hole = np.zeros((side, side), bool)
    hole[70:130, 60:125] = True
    return hole


def guess(image: Image) -> NDArray[np.float32]:
    return np.broadcast_to(image.mean((0, 1)).astype(np.float32), image.shape).copy()


def test_stripes_go_on() -> None:
    image, hole = stripes(), square_hole()
    spoilt = np.where(hole[..., None], np.uint8(0), image)
    out = fill_patches(spoilt, hole, guess(image))
    assert np.array_equal(out[~hole], image[~hole])
    # The smooth guess misses by 80 levels everywhere; a stripe that is off by a pixel, at edges alone.
    assert np.abs(out[hole].astype(int) - image[hole]).mean() < 12


def test_same_input_same_output_and_the_holes_pixels_do_not_matter() -> None:
    image, hole = stripes(), square_hole()
    outs = [fill_patches(np.where(hole[..., None], np.uint8(v), image), hole, guess(image)) for v in (0, 255)]
    assert np.array_equal(outs[0], outs[1])


def test_without_a_whole_known_patch_the_guess_is_taken() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    hole = np.ones((40, 40), bool)
    hole[::6] = False
    out = fill_patches(image, hole, np.full((40, 40, 3), 70, np.float32))
    assert np.array_equal(out[hole], np.full((int(hole.sum()), 3), 70))
    assert np.array_equal(out[~hole], image[~hole])


def test_a_plain_area_elsewhere_does_not_take_the_hole_over() -> None:
    """A blurred beginning is like anything plain; the colours around the hole decide."""
    cells = np.random.default_rng(3).random((20, 20)) < 0.5
    blocks = np.kron(cells, np.ones((8, 8)))[..., None]
    wall = np.where(blocks > 0, [180.0, 60.0, 50.0], [90.0, 20.0, 20.0])
    image = np.full((160, 160, 3), 128, np.uint8)
    image[:, 80:] = wall[:, 80:]
    hole = np.zeros((160, 160), bool)
    hole[20:, 95:-8] = True
    start = np.where(np.arange(160)[None, :, None] < 80, 128.0, wall.mean((0, 1))).astype(np.float32)
    out = fill_patches(np.where(hole[..., None], np.uint8(0), image), hole, np.broadcast_to(start, image.shape).copy())
    painted = out[hole].astype(int)
    assert (painted[:, 0] - painted[:, 1] > 40).mean() > 0.95
