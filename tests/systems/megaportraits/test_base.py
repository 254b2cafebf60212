from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.nets.blocks import set_checkpointing
from avatarkit.nets.convs import fold_weights
from avatarkit.systems.megaportraits.base import Base, SourceCode
from avatarkit.systems.megaportraits.build import build_base
from avatarkit.systems.megaportraits.config import BaseConfig
from avatarkit.systems.megaportraits.warp import driver_grid, source_grid

Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def inputs(draw: torch.Generator) -> Inputs:
    """Pictures, face crops and head transforms of two sources."""
    heads = torch.eye(4).repeat(2, 1, 1)
    heads[:, :3, 3] = 0.2 * torch.rand(2, 3, generator=draw)
    return torch.rand(2, 3, 32, 32, generator=draw), torch.rand(2, 3, 16, 16, generator=draw), heads


def encode(base: Base, inputs: Inputs) -> SourceCode:
    image, face, heads = inputs
    return base.encode_source(image, heads, base.expression(face))


def test_expression_is_read_from_a_disc(base: Base, inputs: Inputs) -> None:
    """What is in a crop's corners says nothing; what is in its middle does."""
    face = inputs[1]
    corners, middle = face.clone(), face.clone()
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1), (2, 1)):
        corners[:, :, y, x] = 1 - face[:, :, y, x]
    middle[:, :, 8, 8] = 1 - face[:, :, 8, 8]
    assert torch.equal(base.expression(corners), base.expression(face))
    assert not torch.equal(base.expression(middle), base.expression(face))


def test_shapes_and_range(base: Base, inputs: Inputs) -> None:
    source = encode(base, inputs)
    assert source.volume.shape == (2, 6, 4, 8, 8)
    assert source.descriptor.shape == (2, 10)
    driven = base.drive(source, inputs[2], base.expression(inputs[1]))
    assert source.grid.shape == driven.grid.shape == (2, 4, 8, 8, 3)
    assert driven.image.shape == (2, 3, 32, 32)
    assert 0 <= driven.image.min() < driven.image.max() <= 1


def test_g3d_runs_once_per_source_and_not_per_frame(base: Base, inputs: Inputs) -> None:
    runs: dict[str, int] = {}
    for name in ("g3d", "appearance", "warp_source", "warp_driver", "g2d"):
        base.get_submodule(name).register_forward_hook(
            lambda *_, name=name: runs.__setitem__(name, runs.get(name, 0) + 1)
        )
    source = encode(base, inputs)
    for _ in range(3):
        base.drive(source, inputs[2], base.expression(inputs[1]))
    assert runs == {"g3d": 1, "appearance": 1, "warp_source": 1, "warp_driver": 3, "g2d": 3}


def test_gradients_reach_every_parameter(base: Base, inputs: Inputs, draw: torch.Generator) -> None:
    driven = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1].flip(0)))
    (driven.image * torch.randn(driven.image.shape, generator=draw)).sum().backward()
    without = [name for name, p in base.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_step_changes_every_parameter(base: Base, inputs: Inputs) -> None:
    before = {name: parameter.detach().clone() for name, parameter in base.named_parameters()}
    optimiser = torch.optim.AdamW(base.parameters(), lr=1e-3)
    driven = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1].flip(0)))
    (driven.image - inputs[0]).abs().mean().backward()
    optimiser.step()
    assert [name for name, parameter in base.named_parameters() if torch.equal(parameter, before[name])] == []


def test_what_a_prediction_depends_on(base: Base, inputs: Inputs) -> None:
    image, face, heads = inputs
    source, z = encode(base, inputs), base.expression(face)
    first = base.drive(source, heads, z).image
    assert torch.equal(base.drive(source, heads, z).image, first)
    turned = heads.clone()
    turned[:, :2, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    assert not torch.allclose(base.drive(source, turned, z).image, first)
    other = base.encode_source(image.flip(0), heads, z)
    assert not torch.allclose(base.drive(other, heads, z).image, first)
    with torch.no_grad():  # adaptive norms wait for their first step before they hear the code
        for module in base.warp_driver.modules():
            if hasattr(module, "modulation"):
                module.modulation.weight.normal_()
    assert not torch.allclose(base.drive(source, heads, z).image, base.drive(source, heads, -z).image)


def test_samples_of_a_batch_do_not_touch_each_other(base: Base, inputs: Inputs) -> None:
    both = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1])).image
    single = tuple(part[1:] for part in inputs)
    alone = base.drive(encode(base, single), single[2], base.expression(single[1])).image
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_each_warp_has_its_own_direction(base: Base, inputs: Inputs) -> None:
    """Untrained offsets are small, so grids are nearly rigid: the source's motion undone, the driver's applied."""
    heads = inputs[2].clone()
    heads[:, :2, :2] = torch.tensor([[0.48, -0.36], [0.36, 0.48]])
    z, still = base.expression(inputs[1]), torch.zeros(2, 3, 4, 8, 8)
    source = base.encode_source(inputs[0], heads, z)
    driven = base.drive(source, heads, z)
    assert torch.allclose(source.grid, source_grid(heads, still), atol=0.2)
    assert torch.allclose(driven.grid, driver_grid(heads, still), atol=0.2)
    assert not torch.allclose(source.grid, driven.grid, atol=0.5)


def test_without_head_pose_the_transform_does_nothing(base_config: BaseConfig, inputs: Inputs) -> None:
    base = build_base(replace(base_config, use_head_pose=False), seed=0)
    source, z = encode(base, inputs), base.expression(inputs[1])
    turned = torch.eye(4).repeat(2, 1, 1)
    turned[:, :2, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    assert torch.equal(base.drive(source, inputs[2], z).image, base.drive(source, turned, z).image)
    assert torch.equal(base.encode_source(inputs[0], turned, z).volume, source.volume)


def test_equal_seeds_give_equal_networks(base_config: BaseConfig) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (build_base(base_config, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(one.g3d.down1.conv1.weight, other.g3d.down1.conv1.weight)


def test_recomputing_changes_nothing(base: Base, inputs: Inputs) -> None:
    found = []
    for recompute in (False, True):
        set_checkpointing(base, recompute)
        base.zero_grad()
        driven = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1]))
        driven.image.square().sum().backward()
        found.append([driven.image.detach(), *(parameter.grad.clone() for parameter in base.parameters())])
    assert all(torch.allclose(kept, again, atol=1e-6) for kept, again in zip(*found, strict=True))


def test_folded_weights_draw_the_same(base: Base, inputs: Inputs) -> None:
    base.eval()
    before = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1])).image
    fold_weights(base)
    after = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1])).image
    assert torch.allclose(before, after, atol=1e-5)


def test_half_precision_draws_nearly_the_same(base: Base, inputs: Inputs) -> None:
    full = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1])).image
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = base.drive(encode(base, inputs), inputs[2], base.expression(inputs[1])).image
    assert (half.float() - full).abs().mean() < 0.02


def test_pictures_of_other_sizes_are_refused(base: Base, inputs: Inputs) -> None:
    image, face, heads = inputs
    with pytest.raises(UsageError, match="source of 16 x 16 px: this base model takes 32 x 32"):
        base.encode_source(face, heads, torch.zeros(2, 10))
    with pytest.raises(UsageError, match="face crop of 32 x 32 px"):
        base.expression(image)


def test_sizes_that_do_not_go_together_are_refused(base_config: BaseConfig) -> None:
    with pytest.raises(UsageError, match="8 and 36"):
        build_base(replace(base_config, size=36), seed=0)


def test_pictures_and_offsets_keep_their_levels_in_mixed_precision(base: Base, inputs: Inputs) -> None:
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        code, z = encode(base, inputs), base.expression(inputs[1])
        image = base.drive(code, inputs[2], z).image
        offset = base.warp_source(z + code.descriptor)
    # bf16 has 129 levels in [0.5, 1].
    assert image.dtype == offset.dtype == torch.float32
    assert not torch.equal(image, image.bfloat16().float())
    assert not torch.equal(offset, offset.bfloat16().float())
