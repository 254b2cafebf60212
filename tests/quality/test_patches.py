"""The grid of patches: complete, even, and the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.errors import InputError, UsageError
from avatarkit.quality.patches import cut_patches, grid_starts


@given(patch=st.integers(1, 300), beyond=st.integers(0, 3000))
def test_grid_covers_the_side_with_as_few_as_can(patch: int, beyond: int) -> None:
    size = patch + beyond
    starts = grid_starts(size, patch)
    steps = np.diff(starts)
    assert (starts[0], starts[-1]) == (0, size - patch)
    assert len(starts) == -(-size // patch)
    assert (steps <= patch).all()
    assert np.ptp(steps) <= 1 if len(steps) else True


def test_known_grids() -> None:
    assert grid_starts(512, 224) == [0, 144, 288]
    assert grid_starts(224, 224) == [0]
    assert grid_starts(225, 224) == [0, 1]


@pytest.mark.parametrize(("size", "patch"), [(100, 224), (10, 0)])
def test_patch_that_does_not_fit(size: int, patch: int) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        grid_starts(size, patch)


@pytest.mark.parametrize("shape", [(512, 512), (300, 700), (224, 224), (225, 1000)])
def test_every_pixel_is_in_a_patch(shape: tuple[int, int]) -> None:
    number = np.arange(shape[0] * shape[1]).reshape(shape)
    image = np.stack([number & 255, (number >> 8) & 255, number >> 16], 2).astype(np.uint8)
    patches = cut_patches(image, 224)
    seen = patches.astype(np.int64) @ [1, 256, 65536]
    assert np.array_equal(np.unique(seen), number.ravel())
    assert np.array_equal(patches[0], image[:224, :224])
    assert np.array_equal(patches[-1], image[-224:, -224:])


@pytest.mark.parametrize(
    ("shape", "count"), [((100, 100), 1), ((224, 100), 3), ((100, 300), 3), ((223, 224), 2), ((1, 1), 1)]
)
def test_small_picture_is_enlarged_with_its_aspect(shape: tuple[int, int], count: int) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    patches = cut_patches(image, 224)
    assert patches.shape == (count, 224, 224, 3)
    assert (patches == 77).all()


def test_sliver_is_refused() -> None:
    with pytest.raises(InputError, match="too slim"):
        cut_patches(np.zeros((2, 500, 3), np.uint8), 224)
