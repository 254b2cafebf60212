from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.systems.megaportraits.warp import driver_grid, identity_grid, inverse, move, sample, source_grid

SHAPE = (8, 16, 16)
STILL = torch.zeros(1, 3, *SHAPE)


def head(
    yaw_deg: float = 0, pitch_deg: float = 0, roll_deg: float = 0, scale: float = 1, shift=(0.0, 0.0, 0.0)
) -> torch.Tensor:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * from_euler_deg(yaw_deg, pitch_deg, roll_deg)
    matrix[:3, 3] = shift
    return torch.tensor(matrix, dtype=torch.float32)[None]


def smooth(seed: int = 0) -> torch.Tensor:
    """A volume that interpolation hardly changes."""
    coarse = torch.randn(1, 2, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=SHAPE, mode="trilinear", align_corners=True)


def marked(point_xyz: tuple[float, float, float], shape=(16, 16, 16)) -> torch.Tensor:
    """A volume whose voxel nearest to a point is 1."""
    volume = torch.zeros(1, 1, *shape)
    x, y, z = (
        int(np.floor((value + 1) / 2 * size)) for value, size in zip(point_xyz, reversed(shape), strict=True)
    )
    volume[0, 0, z, y, x] = 1
    return volume


def place(volume: torch.Tensor) -> torch.Tensor:
    """(x, y, z) of a volume's centre of mass."""
    weight = volume[0, 0, ..., None]
    return (weight * identity_grid(volume.shape[2:])).sum((0, 1, 2)) / weight.sum()


def test_identity_grid_lies_on_voxel_centres_in_xyz_order() -> None:
    grid = identity_grid((2, 4, 8))
    assert grid.shape == (2, 4, 8, 3)
    assert grid[0, 0, 0].tolist() == [-0.875, -0.75, -0.5]
    assert grid[1, 0, 7].tolist() == [0.875, -0.75, 0.5]


@pytest.mark.parametrize("make", [source_grid, driver_grid])
def test_identity_and_zero_offset_return_the_volume(make) -> None:
    volume = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
    grid = make(torch.eye(4).expand(2, 4, 4), STILL.expand(2, -1, -1, -1, -1))
    assert torch.allclose(sample(volume, grid), volume, atol=1e-5)


def test_a_head_that_came_and_went_returns_the_interior() -> None:
    moved = head(20, -10, 15, scale=0.9, shift=(0.1, -0.05, 0.0))
    volume = smooth()
    canonical = sample(volume, source_grid(moved, STILL))
    back = sample(canonical, driver_grid(moved, STILL))
    inside = (move(inverse(moved), identity_grid(SHAPE)).abs().amax(-1) < 0.85) & (
        identity_grid(SHAPE).abs().amax(-1) < 0.7
    )
    assert inside.sum() > 200
    lost, moved_by = ((other - volume)[0, :, inside[0]].abs().mean() / volume.std() for other in (back, canonical))
    assert lost < 0.03 < 0.2 < moved_by


def test_yaw_by_90_degrees_of_the_source_brings_its_nose_to_the_front() -> None:
    # The nose points at the camera in canonical coordinates: z = -1. Positive yaw turns it towards smaller x.
    nose = (0.0, 0.0, -0.7)
    turned = head(yaw_deg=90)
    in_picture = move(turned, torch.tensor([[[[nose]]]], dtype=torch.float32).squeeze(0).squeeze(0)).flatten()
    assert in_picture.tolist() == pytest.approx([-0.7, 0, 0], abs=1e-6)
    seen = marked((-0.7, 0.02, 0.02))
    canonical = sample(seen, source_grid(turned, torch.zeros(1, 3, 16, 16, 16)))
    assert place(canonical).tolist() == pytest.approx([-0.06, 0.06, -0.69], abs=0.13)
    assert canonical.sum() == pytest.approx(1, abs=1e-4)


def test_yaw_by_90_degrees_of_the_driver_takes_the_nose_to_smaller_x() -> None:
    drawn = sample(marked((0.02, 0.02, -0.7)), driver_grid(head(yaw_deg=90), torch.zeros(1, 3, 16, 16, 16)))
    assert place(drawn)[0].item() == pytest.approx(-0.69, abs=0.01)
    assert place(drawn)[2].abs().item() < 0.1


@pytest.mark.parametrize("angles", [(30, 0, 0), (0, 25, 0), (0, 0, 40), (20, -15, 10)])
def test_content_goes_where_the_head_transform_takes_it(angles: tuple[float, float, float]) -> None:
    transform = head(*angles, scale=0.9, shift=(0.1, -0.1, 0.0))
    volume, still = marked((0.3, -0.2, -0.4), (32, 32, 32)), torch.zeros(1, 3, 32, 32, 32)
    wanted = move(transform, place(volume)[None]).flatten()
    assert torch.allclose(place(sample(volume, driver_grid(transform, still))), wanted, atol=0.03)
    undone = move(inverse(transform), place(volume)[None]).flatten()
    assert torch.allclose(place(sample(volume, source_grid(transform, still))), undone, atol=0.03)


def test_source_undoes_the_motion_before_the_offset() -> None:
    """Sampling twice, first rigidly, then by the offset, is what the composed grid does at once."""
    transform, volume = head(25, 10, -20, scale=0.8), smooth(1)
    offset = 0.1 * smooth(2)[:, :1].repeat(1, 3, 1, 1, 1)
    grid = identity_grid(SHAPE) + offset.permute(0, 2, 3, 4, 1)
    twice = sample(sample(volume, source_grid(transform, STILL)), grid)
    once = sample(volume, source_grid(transform, offset))
    swapped = sample(sample(volume, grid), source_grid(transform, STILL))
    inside = (identity_grid(SHAPE).abs().amax(-1) < 0.7)[None, None].expand_as(volume)
    right, wrong = ((once - other)[inside].abs().mean() for other in (twice, swapped))
    assert right < 0.2 * wrong


def test_driver_applies_the_offset_before_the_motion() -> None:
    transform, volume = head(25, 10, -20, scale=0.8), smooth(1)
    offset = 0.1 * smooth(2)[:, :1].repeat(1, 3, 1, 1, 1)
    grid = identity_grid(SHAPE) + offset.permute(0, 2, 3, 4, 1)
    twice = sample(sample(volume, grid), driver_grid(transform, STILL))
    once = sample(volume, driver_grid(transform, offset))
    swapped = sample(sample(volume, driver_grid(transform, STILL)), grid)
    inside = (move(inverse(transform), identity_grid(SHAPE)).abs().amax(-1) < 0.7)[:, None].expand_as(volume)
    right, wrong = ((once - other)[inside].abs().mean() for other in (twice, swapped))
    assert right < 0.2 * wrong


def test_offset_of_the_driver_is_in_canonical_coordinates() -> None:
    """Reading one step further along canonical z shows, after a quarter turn, as a shift along the picture's x."""
    offset = torch.zeros(1, 3, 16, 16, 16)
    offset[:, 2] = 0.25
    drawn = sample(marked((0.02, 0.02, -0.2), (16, 16, 16)), driver_grid(head(yaw_deg=90), offset))
    still = sample(marked((0.02, 0.02, -0.2), (16, 16, 16)), driver_grid(head(yaw_deg=90), 0 * offset))
    assert (place(drawn) - place(still)).tolist() == pytest.approx([-0.25, 0, 0], abs=1e-3)


def test_offset_of_the_source_is_in_canonical_coordinates() -> None:
    offset = torch.zeros(1, 3, 16, 16, 16)
    offset[:, 0] = 0.25
    seen, turned = marked((-0.4, 0.02, 0.02)), head(yaw_deg=90)
    moved, still = (sample(seen, source_grid(turned, shift)) for shift in (offset, 0 * offset))
    assert (place(moved) - place(still)).tolist() == pytest.approx([-0.25, 0, 0], abs=1e-3)


def test_depth_of_few_slices_spans_what_the_width_does() -> None:
    """A quarter turn takes the edge of x to the edge of z, though z has fewer voxels."""
    wide = marked((0.8, 0.02, 0.02), (8, 16, 16))
    drawn = sample(wide, driver_grid(head(yaw_deg=-90), torch.zeros(1, 3, 8, 16, 16)))
    assert abs(place(drawn)[2].item()) == pytest.approx(0.8, abs=0.15)
    assert abs(place(drawn)[0].item()) < 0.15


@given(
    st.floats(-60, 60), st.floats(-40, 40), st.floats(-40, 40), st.floats(0.5, 1.5), st.floats(-0.3, 0.3)
)
@settings(max_examples=30, deadline=None)
def test_inverse_undoes(yaw: float, pitch: float, roll: float, scale: float, shift: float) -> None:
    transform = head(yaw, pitch, roll, scale, (shift, -shift, 0))
    points = identity_grid((2, 3, 4))
    back = move(inverse(transform), move(transform, points))
    assert torch.allclose(back[0], points, atol=1e-5)


def test_grids_stay_in_single_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = driver_grid(head(yaw_deg=10), STILL.bfloat16())
        read = sample(smooth().bfloat16(), grid)
    assert grid.dtype == torch.float32
    assert read.dtype == torch.bfloat16
    assert torch.allclose(grid, driver_grid(head(yaw_deg=10), STILL))


@pytest.mark.parametrize("make", [source_grid, driver_grid])
def test_gradients_reach_transform_offset_and_volume(make) -> None:
    transform, volume = head(10).requires_grad_(), smooth().requires_grad_()
    offset = (0.01 * smooth(3)[:, :1].repeat(1, 3, 1, 1, 1)).requires_grad_()
    sample(volume, make(transform, offset)).square().sum().backward()
    for tensor in (transform, volume, offset):
        assert tensor.grad.abs().sum() > 0


def test_nothing_lies_beyond_a_volume_unless_its_faces_go_on() -> None:
    ones, far = torch.ones(1, 1, 4, 4, 4), identity_grid((4, 4, 4))[None] + 5
    assert sample(ones, far).abs().max() == 0
    assert sample(ones, far, beyond="border").min() == 1
