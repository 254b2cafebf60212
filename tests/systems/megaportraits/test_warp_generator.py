from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.nets.plain import from_plain, to_plain
from avatarkit.systems.megaportraits.base import WarpGenerator
from avatarkit.systems.megaportraits.config import PRESETS, BaseConfig


def test_offsets_begin_small_and_never_leave_the_unit_cube(base_config: BaseConfig, draw: torch.Generator) -> None:
    net = WarpGenerator(base_config)
    offset = net(torch.randn(3, 10, generator=draw))
    assert offset.shape == (3, 3, 4, 8, 8)
    assert 0 < offset.abs().max() < 0.15
    with torch.no_grad():
        net.last.weight.mul_(1e4)
    assert net(torch.randn(3, 10, generator=draw)).abs().max() <= 1


def test_places_differ_from_the_start(base_config: BaseConfig) -> None:
    offset = WarpGenerator(base_config)(torch.zeros(1, 10))
    assert offset.std(dim=(3, 4)).min() > 1e-3


def test_one_step_is_enough_for_every_parameter_to_get_a_gradient(base_config: BaseConfig) -> None:
    net = WarpGenerator(base_config)
    (net(torch.randn(2, 10)) * torch.randn(2, 3, 4, 8, 8)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_sizes_must_be_reachable_by_doubling(base_config: BaseConfig) -> None:
    with pytest.raises(UsageError, match="power of two"):
        WarpGenerator(replace(base_config, side=12))


def test_older_checkpoints_draw_as_they_did_without_a_gain() -> None:
    plain = to_plain(PRESETS["tiny-64"].base)
    del plain["offset_gain"]
    older = WarpGenerator(from_plain(BaseConfig, plain, "older"))
    newer, code = WarpGenerator(PRESETS["tiny-64"].base), torch.ones(1, 128)
    newer.load_state_dict(older.state_dict())
    assert torch.allclose(newer(code), torch.tanh(0.1 * torch.atanh(older(code))), atol=1e-5)


def test_a_few_steps_do_not_move_all_offsets_out_of_the_volume() -> None:
    net, code = WarpGenerator(PRESETS["tiny-64"].base), torch.zeros(1, 128)
    before = net(code).mean()
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-4, betas=(0.5, 0.999))
    for _ in range(10):
        optimiser.zero_grad()
        (-net(code).mean()).backward()
        optimiser.step()
    assert 0.01 < net(code).mean() - before < 0.2
