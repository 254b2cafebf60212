from __future__ import annotations

import pytest
import torch

from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.systems.megaportraits.build import build_pose_net
from avatarkit.systems.megaportraits.config import PoseConfig
from avatarkit.systems.megaportraits.pose import PoseEstimate, rotation_of

CONFIG = PoseConfig(size=32, net=ResNetConfig(width=8, blocks=(1, 1), stem_pool=False))


def test_six_numbers_give_a_rotation(draw: torch.Generator) -> None:
    rotation = rotation_of(torch.randn(5, 6, generator=draw))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(5), atol=1e-5)


def test_columns_of_a_rotation_give_it_back() -> None:
    wanted = torch.tensor(from_euler_deg(30, -20, 10), dtype=torch.float32)
    numbers = torch.cat([2 * wanted[:, 0], 0.5 * wanted[:, 1]])
    assert torch.allclose(rotation_of(numbers[None])[0], wanted, atol=1e-6)


@pytest.mark.parametrize("size", [32, 48])
def test_estimates_are_head_transforms_near_the_identity(size: int, draw: torch.Generator) -> None:
    found = build_pose_net(CONFIG, seed=0)(torch.rand(2, 3, size, size, generator=draw))
    assert (found.rotation.shape, found.translation.shape, found.scale.shape) == ((2, 3, 3), (2, 3), (2,))
    head = found.head()
    assert head.shape == (2, 4, 4)
    assert torch.allclose(head, torch.eye(4).expand(2, 4, 4), atol=0.3)


def test_head_is_scale_times_rotation_and_translation() -> None:
    rotation = torch.tensor(from_euler_deg(90, 0, 0), dtype=torch.float32)[None]
    head = PoseEstimate(rotation, torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([2.0])).head()
    moved = head[0] @ torch.tensor([0.0, 0.0, -1.0, 1.0])
    assert moved.tolist() == pytest.approx([-2 + 0.1, 0.2, 0.3, 1], abs=1e-6)


def test_gradients_reach_every_parameter(draw: torch.Generator) -> None:
    net = build_pose_net(CONFIG, seed=0)
    head = net(torch.rand(2, 3, 40, 40, generator=draw)).head()
    (head * torch.randn(head.shape, generator=draw)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
