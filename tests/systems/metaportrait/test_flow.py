"""Flow: one convention at every size, sizes as published, and what each network sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.nets.count import parameters_of
from avatarkit.systems.metaportrait.config import FlowConfig, PortraitConfig
from avatarkit.systems.metaportrait.flow import AdaIN, Flow, landmark_error, warp


def picture(size: int, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("side", [16, 64])
def test_no_flow_leaves_every_map_as_it_is(size: int, side: int) -> None:
    x = picture(size)
    assert (warp(x, torch.zeros(2, 2, side, side)) - x).abs().max() < 2e-5 * size / 256 + 1e-6


@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_flow_of_one_pixel_of_64_moves_a_ramp_by_its_share(size: int) -> None:
    ramp = torch.arange(size, dtype=torch.float32).expand(1, 1, size, size)
    for axis, x in ((0, ramp), (1, ramp.mT)):
        offset = torch.zeros(1, 2, 64, 64)
        offset[:, axis] = 1.0
        inner = slice(8, -8)
        moved = (warp(x, offset) - x)[..., inner, inner]
        torch.testing.assert_close(moved, torch.full_like(moved, size / 64), atol=2e-4, rtol=0)


def test_a_smaller_map_moves_by_its_share_too() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    offset = torch.zeros(1, 2, 32, 32)
    offset[:, 0] = 4.0
    moved = (warp(ramp, offset) - ramp)[..., 2:-2]
    torch.testing.assert_close(moved, torch.ones_like(moved), atol=1e-5, rtol=0)


def test_beyond_the_edges_maps_are_mirrored() -> None:
    x = torch.arange(8.0).expand(1, 1, 8, 8)
    offset = torch.zeros(1, 2, 8, 8)
    offset[:, 0] = -2.0
    assert warp(x, offset)[0, 0, 0].round().tolist() == [1, 0, 0, 1, 2, 3, 4, 5]


def test_landmarks_tell_the_flow_where_to_look() -> None:
    """A flow that looks four pixels to the right of 64 is right where the source's points lie there, on any grid."""
    driver = 20 + 24 * torch.rand(2, 30, 3)
    source = driver + torch.tensor([4.0, 0.0, 9.0])
    offset = torch.zeros(2, 2, 16, 16)
    assert landmark_error(offset, source, driver, 64).item() == pytest.approx(4 / 64 / 2, rel=1e-5)
    offset[:, 0] = 1.0
    assert landmark_error(offset, source, driver, 64).item() == pytest.approx(0, abs=1e-6)
    point = warp(torch.nn.functional.one_hot(torch.tensor([44]), 64).float().expand(1, 1, 64, 64), offset[:1])
    assert point[0, 0, 30].argmax() == 40  # what stood at the source's place is seen at the driver's


def test_adain_is_an_instance_norm_where_the_code_says_nothing() -> None:
    norm = AdaIN(4, 6, 5)
    for layer in (norm.gain, norm.shift):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = picture(8, 4)
    torch.testing.assert_close(norm(x, torch.rand(2, 6)), torch.nn.functional.instance_norm(x))
    torch.nn.init.ones_(norm.gain.bias)
    torch.nn.init.constant_(norm.shift.bias, 3.0)
    torch.testing.assert_close(norm(x, torch.rand(2, 6)), 2 * torch.nn.functional.instance_norm(x) + 3)


def test_published_sizes() -> None:
    with torch.device("meta"):
        flow = Flow(FlowConfig())
    assert round(parameters_of(flow.encoder) / 1e6, 2) == 10.47
    assert round(parameters_of(flow.net) / 1e6, 1) == 74.8
    assert FlowConfig().side == 64


def test_code_has_length_1_and_depends_on_all_three_pictures(portrait_config: PortraitConfig) -> None:
    config = portrait_config.flow
    flow = Flow(config)
    seen = torch.rand(2, 9, 32, 32)
    code = flow.encoder(seen)
    torch.testing.assert_close(code.norm(dim=1), torch.ones(2))
    for first in (0, 3, 6):
        other = seen.clone()
        other[:, first : first + 3] = torch.rand(2, 3, 32, 32)
        assert (flow.encoder(other) - code).abs().max() > 1e-4


def test_a_new_flow_hardly_moves_anything(portrait_config: PortraitConfig) -> None:
    flow = Flow(portrait_config.flow)
    moved = flow(picture(32), picture(32), picture(32))
    assert moved.offset.shape == (2, 2, portrait_config.flow.side, portrait_config.flow.side)
    assert moved.offset.abs().max() < 1
    assert moved.occlusion.min() > 0
    assert moved.occlusion.max() < 1


def test_sizes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="fewer steps up"):
        FlowConfig(down_widths=(8, 8), up_widths=(8, 8))
    with pytest.raises(UsageError, match="power of two"):
        FlowConfig(size=96)
