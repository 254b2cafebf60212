"""E_warp: motion that the flow explains costs nothing, steps of brightness cost what they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from avatarkit.errors import UsageError
from avatarkit.metrics.warping_error import backward_flow, occluded, warped_difference, warping_error

SIZE = 96


def texture(seed: int = 0, side: int = SIZE + 40) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(0, 255, (side, side, 3))
    smooth = gaussian_filter(noise, (3, 3, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 200 + 20).astype(np.uint8)


def moving(frames: int) -> list[NDArray[np.uint8]]:
    """A pan of two pixels a frame."""
    return [texture()[10 : 10 + SIZE, 2 * t : 2 * t + SIZE].copy() for t in range(frames)]


def test_a_known_flow_explains_its_clip() -> None:
    before, now = moving(2)
    back = np.zeros((SIZE, SIZE, 2), np.float32)
    back[..., 0] = 2.0
    seen = np.ones((SIZE, SIZE), bool)
    seen[:, -2:] = False
    assert warped_difference(now, before, back, seen) == 0.0
    assert warped_difference(now, before, 0 * back, seen) > 0.05


def test_the_flow_is_found_and_leaves_little() -> None:
    clip = moving(4)
    assert warping_error(clip, clip) < 0.02
    back = backward_flow(clip[1][..., 0], clip[0][..., 0])
    assert np.median(back[..., 0]) == pytest.approx(2, abs=0.1)
    assert abs(np.median(back[..., 1])) < 0.1


@pytest.mark.parametrize("step", [1, 5])
def test_a_step_of_brightness_counts_in_all_three_colours(step: int) -> None:
    still = [texture()[:SIZE, :SIZE]] * 3
    brighter = [frame + np.uint8(step * t) for t, frame in enumerate(still)]
    assert warping_error(brighter, still) == pytest.approx(3 * step / 255, rel=1e-4)
    assert warping_error(still, still) == 0.0


def test_what_was_hidden_does_not_count() -> None:
    back = np.zeros((20, 20, 2), np.float32)
    there = back.copy()
    there[5:10] = 3.0
    assert occluded(back, there)[5:10].all()
    assert not occluded(back, there)[:5].any()


def test_clips_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="two or more"):
        warping_error(moving(1), moving(1))
    with pytest.raises(UsageError, match="frames need 16"):
        backward_flow(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))
