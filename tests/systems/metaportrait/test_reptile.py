"""Reptile: the outer step's direction and length, and that it learns to learn."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from avatarkit.systems.metaportrait.stages.meta import inner_steps, reptile_term


class Point(nn.Module):
    def __init__(self, place: Tensor) -> None:
        super().__init__()
        self.place = nn.Parameter(place.clone())


def groups(net: nn.Module) -> list[dict[str, object]]:
    return [{"params": list(net.parameters())}]


def adapted(net: Point, goal: Tensor, rate: float, steps: int) -> Point:
    made = copy.deepcopy(net)
    losses = [lambda: 0.5 * ((made.place - goal) ** 2).sum()] * steps
    inner_steps(made, groups(made), losses, lr=rate, kind="sgd")
    return made


def test_inner_steps_go_the_known_way_on_a_bowl() -> None:
    phi, goal = Point(torch.tensor([1.0, -2.0])), torch.tensor([3.0, 5.0])
    end = adapted(phi, goal, 0.1, 24)
    torch.testing.assert_close(end.place - phi.place, 0.9202335569 * (goal - phi.place), atol=1e-6, rtol=0)


def test_the_surrogate_has_the_gradient_phi_less_the_mean_of_the_adapted() -> None:
    phi = Point(torch.tensor([1.0, -2.0, 0.5]))
    goals = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    ends = [adapted(phi, goal, 0.1, 24) for goal in goals]
    torch.stack([reptile_term(phi, end) for end in ends]).mean().backward()
    wanted = phi.place - torch.stack([end.place for end in ends]).mean(0)
    assert phi.place.grad is not None
    torch.testing.assert_close(phi.place.grad, wanted.detach(), atol=1e-6, rtol=0)
    # With b = 1 the outer step of plain SGD lands where the adapted weights' mean lies.
    torch.testing.assert_close(
        phi.place - phi.place.grad, phi.place + 0.9202335569 * (goals.mean(0) - phi.place), atol=1e-6, rtol=0
    )


def test_frozen_weights_take_no_part() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(1)
    reptile_term(net, other).backward()
    assert net[0].weight.grad is None
    torch.testing.assert_close(net[1].weight.grad, -torch.ones(2, 2))


def test_rates_of_groups_and_the_largest_gradient() -> None:
    slow, fast = Point(torch.zeros(1)), Point(torch.zeros(1))
    net = nn.ModuleList([slow, fast])
    own = [{"params": [slow.place], "lr_scale": 0.1}, {"params": [fast.place]}]
    inner_steps(net, own, [(slow.place + fast.place).sum], lr=1.0, kind="sgd")
    assert (slow.place.item(), fast.place.item()) == pytest.approx((-0.1, -1.0))
    inner_steps(net, own, [lambda: 100 * fast.place[0]], lr=1.0, kind="sgd", clip=0.3)
    assert fast.place.item() == pytest.approx(-1.3)


def test_gradients_that_are_no_numbers_count_as_none() -> None:
    net = Point(torch.zeros(2))
    inner_steps(net, groups(net), [lambda: net.place[0] + math.nan * net.place[1]], lr=1.0, kind="sgd")
    assert net.place.tolist() == [-1.0, 0.0]


def sine(draw: torch.Generator) -> Callable[[Tensor], Tensor]:
    amplitude, phase = (torch.rand(2, generator=draw) * torch.tensor([4.9, math.pi]) + torch.tensor([0.1, 0])).tolist()
    return lambda x: amplitude * torch.sin(x + phase)


def adapted_to(net: nn.Module, wave: Callable[[Tensor], Tensor], draw: torch.Generator, steps: int) -> nn.Module:
    """A copy after SGD on ten points a step."""
    made = copy.deepcopy(net)

    def loss() -> Tensor:
        x = 10 * torch.rand(10, 1, generator=draw) - 5
        error: Tensor = ((made(x) - wave(x)) ** 2).mean()
        return error

    inner_steps(made, groups(made), [loss] * steps, lr=0.02, kind="sgd")
    return made


def mean_error(net: nn.Module, steps: int) -> float:
    """On unseen sines, after so many steps on ten points of each."""
    draw, x = torch.Generator().manual_seed(999), torch.linspace(-5, 5, 50)[:, None]
    errors = []
    for _ in range(20):
        wave = sine(draw)
        with torch.no_grad():
            errors.append(((adapted_to(net, wave, draw, steps)(x) - wave(x)) ** 2).mean().item())
    return sum(errors) / len(errors)


def new_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))


def test_reptile_learns_to_learn_sines_and_joint_training_does_not() -> None:
    draw = torch.Generator().manual_seed(1)
    meta, joint = new_net(), new_net()
    outer, plain = torch.optim.Adam(meta.parameters(), 2e-3), torch.optim.SGD(joint.parameters(), 0.02)
    for _ in range(450):
        wave = sine(draw)
        outer.zero_grad()
        reptile_term(meta, adapted_to(meta, wave, draw, 8)).backward()
        outer.step()
        for _ in range(2):
            x = 10 * torch.rand(10, 1, generator=draw) - 5
            plain.zero_grad()
            ((joint(x) - sine(draw)(x)) ** 2).mean().backward()
            plain.step()
    assert mean_error(meta, 8) < mean_error(joint, 8) / 5


def test_the_printed_sign_diverges() -> None:
    """Equation 9 and algorithm 1 subtract: phi then runs away from what it should learn."""
    draw, net = torch.Generator().manual_seed(1), new_net()
    error = math.inf
    for _ in range(200):
        end = adapted_to(net, sine(draw), draw, 8)
        with torch.no_grad():
            for own, other in zip(net.parameters(), end.parameters(), strict=True):
                own -= 0.5 * (other - own)
        error = max(weight.abs().max().item() for weight in net.parameters())
        if not error < 1e3:
            break
    assert not error < 1e3
