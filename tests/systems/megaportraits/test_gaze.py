from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.face.landmarks import INNER_LIP_LOWER, IRIS_CENTRES, LEFT_UPPER_LID, MESH
from avatarkit.systems.megaportraits.build import build_gaze_net
from avatarkit.systems.megaportraits.config import GazeConfig
from avatarkit.systems.megaportraits.gaze import GazeNet, keypoints
from avatarkit.systems.megaportraits.gaze_features import GazeFeatures

CONFIG = GazeConfig(eye_size=32, widths=(4, 6, 8, 8, 8), code=12, keypoint_code=6, hidden=8)


@pytest.fixture
def net() -> GazeNet:
    return build_gaze_net(CONFIG, seed=0)


@pytest.fixture
def landmarks(draw: torch.Generator) -> torch.Tensor:
    return 50 * torch.rand(2, MESH + 10, 3, generator=draw)


def test_estimate_of_both_eyes(net: GazeNet, landmarks: torch.Tensor) -> None:
    found = net(torch.rand(2, 2, 3, 32, 32), landmarks)
    assert (found.gaze.shape, found.opening.shape) == ((2, 2, 2), (2, 2))


def test_eyes_are_told_apart(net: GazeNet, landmarks: torch.Tensor, draw: torch.Generator) -> None:
    crops = torch.rand(2, 2, 3, 32, 32, generator=draw)
    assert not torch.allclose(net(crops, landmarks).opening, net(crops.flip(1), landmarks).opening)


def test_every_parameter_gets_a_gradient(net: GazeNet, landmarks: torch.Tensor, draw: torch.Generator) -> None:
    found = net(torch.rand(2, 2, 3, 32, 32, generator=draw), landmarks)
    (found.gaze.square().sum() + found.opening.square().sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_keypoints_know_neither_place_nor_size_nor_eyes(landmarks: torch.Tensor) -> None:
    points = keypoints(landmarks)
    assert torch.allclose(keypoints(3 * landmarks + 7), points, atol=1e-5)
    moved = landmarks.clone()
    moved[:, [*IRIS_CENTRES, *LEFT_UPPER_LID[1:-1], *INNER_LIP_LOWER]] += 5
    assert torch.equal(keypoints(moved), points)
    turned = landmarks.clone()
    turned[..., 0] *= 0.5
    assert not torch.allclose(keypoints(turned), points)


def test_trunk_has_the_layout_of_vgg16(net: GazeNet) -> None:
    places = [int(name.split(".")[0]) for name in net.trunk.state_dict() if name.endswith("weight")]
    assert places == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_trunk_serves_the_gaze_loss(net: GazeNet) -> None:
    crops = torch.rand(1, 3, 32, 32)
    features = GazeFeatures.of_net(net.state_dict(), "net")(crops)
    assert [maps.shape[1] for maps in features] == list(CONFIG.widths)
    mean, std = net.get_buffer("mean"), net.get_buffer("std")
    first = torch.relu(net.trunk[0]((crops - mean) / std))
    assert torch.allclose(features[0], first, atol=1e-6)


def test_bad_crops_are_refused(net: GazeNet, landmarks: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="eye crops of 48 px: this gaze net takes 32"):
        net(torch.rand(2, 2, 3, 48, 48), landmarks)
    with pytest.raises(UsageError, match="too small"):
        build_gaze_net(replace(CONFIG, eye_size=16), seed=0)
