"""Fused norms, the generator's conditions, what depends on what, and sizes as published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_heads import frame
from torch import Tensor
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.face.landmarks import IRIS_RIMS
from avatarkit.head.landmark_picture import draw_landmarks, landmark_lines
from avatarkit.nets.convs import Conv2d, Style
from avatarkit.nets.count import parameters_of
from avatarkit.nets.identity import IdentityConfig
from avatarkit.systems.metaportrait.config import PortraitConfig
from avatarkit.systems.metaportrait.portrait import Driven, FusedNorm, Portrait, conditions

SIZE = 32


def seen(moment: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, landmark pictures and landmarks of two people at a moment."""
    frames = [frame(person, moment, SIZE) for person in (0, 1)]
    points = torch.stack([one["landmarks"] for one in frames])
    drawn = [draw_landmarks(row.numpy(), SIZE, landmark_lines("contours")) for row in points]
    lines = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
    return torch.stack([one["image"] for one in frames]).float() / 255, lines, points


def driven(portrait: Portrait) -> Driven:
    image, lines, points = seen(0)
    _, driver_lines, driver_points = seen(1)
    return portrait.drive(portrait.encode_source(image, lines, points), driver_lines, driver_points)


def fused(mask_bias: float) -> FusedNorm:
    torch.manual_seed(0)
    norm = FusedNorm(4, 5, 6, 7, Style(standardise=False, spectral=False))
    torch.nn.init.zeros_(norm.mask.weight)
    torch.nn.init.constant_(norm.mask.bias, mask_bias)
    return norm


def test_the_mask_chooses_between_both_branches() -> None:
    x, side, z_id = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 8, 8), torch.randn(2, 6)
    plain = F.instance_norm(x)
    motion = fused(50.0)
    known = F.relu(motion.shared(side))
    torch.testing.assert_close(
        motion(x, side, z_id), plain * (1 + motion.gain(known)) + motion.shift(known), atol=1e-6, rtol=0
    )
    identity = fused(-50.0)
    scale, shift = identity.identity(z_id)[:, :, None, None].chunk(2, 1)
    torch.testing.assert_close(identity(x, side, z_id), plain * scale + shift, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bias", [-50.0, 0.0, 1.0, 50.0])
def test_branches_that_change_nothing_leave_an_instance_norm(bias: float) -> None:
    norm = fused(bias)
    norm.start()
    for layer in (norm.gain, norm.shift):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x, side = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 8, 8)
    torch.testing.assert_close(norm(x, side, torch.zeros(2, 6)), F.instance_norm(x), atol=1e-6, rtol=1e-6)


def test_every_identity_branch_starts_at_scale_1_and_shift_0(portrait: Portrait) -> None:
    norms = [module for module in portrait.modules() if isinstance(module, FusedNorm)]
    assert norms
    for norm in norms:
        scale, shift = norm.identity.bias.chunk(2)
        assert scale.tolist() == [1.0] * len(scale)
        assert not shift.any()


def test_gradients_reach_all_but_the_recogniser(portrait: Portrait) -> None:
    portrait.train()
    result = driven(portrait)
    target = torch.rand(2, 3, SIZE, SIZE)
    ((result.image - target) ** 2).sum().add(result.matte.sum()).add((result.warped - target).abs().sum()).backward()
    for name, weight in portrait.named_parameters():
        if name.startswith("identity."):
            assert weight.grad is None, name
        elif not name.endswith(("conv.bias", "conv1.bias", "conv2.bias")) and "first.bias" not in name:
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


def test_conditions_are_gaze_lines_and_the_mouths_lines() -> None:
    _, source_lines, _ = seen(0)
    _, lines, points = seen(1)
    known = conditions(source_lines, lines, points)
    assert known.shape == (2, 17, SIZE, SIZE)
    for number, point in enumerate(point for rim in IRIS_RIMS for point in rim):
        x, y = points[0, point, :2].round().int().tolist()
        assert known[0, number, y, x] > 0.99 * known[0, number].max()
        # Two pixels of 32 are an eighth of the square's half: exp(-(1 / 8)^2 / 0.01).
        assert known[0, number, y, x + 2] == pytest.approx(np.exp(-1.5625), abs=0.2)
    torch.testing.assert_close(known[:, 8:11], source_lines)
    torch.testing.assert_close(known[:, 11:14], lines)
    inside = known[:, 14:].abs().sum(1) > 0
    assert inside.any()
    torch.testing.assert_close(known[:, 14:], lines * inside[:, None])


def test_lines_and_landmarks_of_the_frame_move_the_picture(portrait: Portrait) -> None:
    image, lines, points = seen(0)
    _, driver_lines, driver_points = seen(1)
    with torch.no_grad():
        code = portrait.encode_source(image, lines, points)
        one = portrait.drive(code, driver_lines, driver_points).image
        assert (portrait.drive(code, lines, points).image - one).abs().max() > 1e-6
        other = portrait.encode_source(image, lines, points, z_id=torch.roll(code.z_id, 1, 0))
        assert (portrait.drive(other, driver_lines, driver_points).image - one).abs().max() > 1e-6


def test_another_size_is_refused(portrait: Portrait) -> None:
    image, lines, points = seen(0)
    with pytest.raises(UsageError, match="source of 16 x 16 px: this portrait takes 32"):
        portrait.encode_source(image[..., :16, :16], lines, points)


def test_published_sizes() -> None:
    """All but the matte's channel (289 numbers) and a constant's bias per pixel are the release's."""
    config = replace(PortraitConfig(), identity=IdentityConfig("own", 256))
    with torch.device("meta"):
        portrait = Portrait(config)
        maps = portrait.source_encoder(torch.empty(1, 3, 256, 256))
    assert round(parameters_of(portrait.source_encoder) / 1e6, 2) == 3.44
    assert round(parameters_of(portrait.generator) / 1e6, 1) == 41.5
    assert [tuple(one.shape[1:]) for one in maps] == [(512, 32, 32), (256, 64, 64), (128, 128, 128), (64, 256, 256)]


def test_an_even_last_map_is_drawn_without_a_rim(portrait: Portrait) -> None:
    heads = portrait.flow.net
    for layer in (portrait.generator.last, heads.offset.conv, heads.occlusion.conv):
        assert isinstance(layer, Conv2d)
        drawn = layer(torch.ones(1, layer.in_channels, 8, 8))
        assert drawn.abs().max() > 0
        torch.testing.assert_close(drawn, drawn[..., 4:5, 4:5].expand_as(drawn))
