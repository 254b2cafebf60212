"""Identity vectors: of length 1, with gradients to the picture alone, chips as the recogniser's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.metrics.face_embedding import POINTS, chip_places, face_chip
from avatarkit.nets.identity import Identity, IdentityConfig
from avatarkit.nets.resnet import ResNetConfig

OWN = IdentityConfig("own", 8, 16, ResNetConfig(width=8, blocks=(1, 1), stem_pool=False))


def placed(size: int, turn: float, scale: float) -> torch.Tensor:
    """Landmarks whose five points lie as in a chip, turned, scaled and put in the middle."""
    points = np.random.default_rng(0).uniform(0.3 * size, 0.7 * size, (478, 3))
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points[list(POINTS), :2] = (chip_places() - 75) @ rotation.T + size / 2
    return torch.from_numpy(points.astype(np.float32))[None]


@pytest.mark.parametrize("config", [OWN, IdentityConfig()])
def test_vectors_have_length_1_and_pass_gradients_to_the_picture(config: IdentityConfig) -> None:
    torch.manual_seed(0)
    net = Identity(config).requires_grad_(False)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    z_id = net(image, placed(64, 0.2, 0.3))
    assert z_id.shape == (1, config.code)
    assert z_id.norm().item() == pytest.approx(1)
    z_id[0, 0].backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert all(weight.grad is None for weight in net.parameters())


def test_chips_are_those_of_the_recogniser() -> None:
    size = 200
    y, x = np.mgrid[:size, :size]
    picture = np.stack([127 + 100 * np.sin(x / 17), 127 + 100 * np.cos(y / 23), (x + y) / 2], -1).astype(np.uint8)
    points = placed(size, 0.3, 0.8)
    chip = Identity(IdentityConfig()).chips(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, points)
    wanted = face_chip(picture, points[0].numpy())
    assert np.abs(255 * chip[0].permute(1, 2, 0).numpy() - wanted).max() < 3


def test_what_people_share_is_left_out_of_all_vectors() -> None:
    torch.manual_seed(0)
    net = Identity(OWN).eval().requires_grad_(False)
    images, points = torch.rand(5, 3, 64, 64), placed(64, 0.2, 0.3).expand(5, -1, -1)
    before = net(images, points)
    net.leave_out(before[:1])
    assert not net.shared.any()
    net.leave_out(before[:4])
    torch.testing.assert_close(net.shared, 0.75 * before[:4].mean(0))
    after = net(images, points)
    torch.testing.assert_close(after, torch.nn.functional.normalize(before - net.shared, dim=1))
    assert (after @ after.T).mean() < (before @ before.T).mean() - 0.1  # people are less alike
    again = Identity(OWN)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval()(images, points), after)


def test_unknown_kinds_and_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="use one of face-embedding, own"):
        IdentityConfig("arc")
    with pytest.raises(UsageError, match="makes 128 numbers of 150 px, not 64 of"):
        IdentityConfig(code=64)
