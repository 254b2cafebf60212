"""A picture that stands still: the same planes as of the whole frame laid together, whatever part of it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.background.composite import composite
from avatarkit.background.still import StillPicture, seams
from avatarkit.geometry.crop import Crop
from avatarkit.media.yuv import yuv420


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    edge = radius - np.hypot(columns - x, rows - y)
    return np.rint(255 * np.clip(edge / 4, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize("size", [(640, 96), (613, 75), (40, 31)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (9.0, 9.0)])
def test_whole_frame(size: tuple[int, int], place: tuple[float, float]) -> None:
    """Odd sides, several bands, a layer that the edges cut off, and one that is out of the picture."""
    height, width = size
    colours, behind = noise(height, width, 3, seed=1), noise(height, width, 3, seed=2)
    alpha = disc(height, width, place[0] * width, place[1] * height, 0.4 * width)
    expected = yuv420(composite(colours, alpha, behind))
    still = StillPicture(yuv420(behind), behind, behind)
    assert np.array_equal(still.under(colours.copy(), alpha), expected)
    assert np.array_equal(still.under(colours.copy(), np.full_like(alpha, 255)), yuv420(colours))


@pytest.mark.parametrize(("left", "top"), [(7, 5), (12, 8), (0, 11), (33, 0)])
@pytest.mark.parametrize("radius", [4.0, 15.0, 200.0])
def test_part_of_a_picture_with_seams(left: int, top: int, radius: float) -> None:
    picture = noise(421, 115, 3, seed=3)
    crop = Crop(float(left), float(top), 115.0 - 33, 400.0, 1.0)
    columns, rows = crop.shown
    colours, behind = noise(rows, columns, 3, seed=4), noise(rows, columns, 3, seed=5)
    joins = seams(crop, (115, 421))
    assert len(joins) == sum((left > 0, left < 33, top > 0, top < 21))

    def whole(done: np.ndarray) -> np.ndarray:
        full = picture.copy()
        inner, around = full[crop.window], picture[crop.window]
        inner[:] = done
        for strip, levels in joins:
            inner[strip] = composite(done[strip], levels, around[strip])
        return yuv420(full)

    still = StillPicture(whole(behind), picture, behind, (top, left), joins)
    alpha = disc(rows, columns, 20.0, 30.0, radius)
    assert np.array_equal(still.under(colours.copy(), alpha), whole(composite(colours, alpha, behind)))


def test_the_still_picture_stays_as_it_was() -> None:
    behind = noise(32, 48, 3)
    still = StillPicture(yuv420(behind), behind, behind)
    still.under(noise(32, 48, 3, seed=1), np.full((32, 48), 90, np.uint8))
    assert np.array_equal(still.under(noise(32, 48, 3), np.zeros((32, 48), np.uint8)), yuv420(behind))
