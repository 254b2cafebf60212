"""The terms of frozen nets: one for each weight, whatever the picture's size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from synthetic_heads import frame

from avatarkit.errors import DependencyError, UsageError
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual, open_perceptual


def narrow() -> VGGFeatures:
    torch.manual_seed(0)
    return VGGFeatures((1, 1, 1, 1, 1), (2, 2, 2, 2, 2))


@pytest.mark.parametrize("size", [16, 48, 256])
def test_the_pyramid_is_as_high_as_the_size_allows(size: int) -> None:
    target, matte = torch.rand(2, 3, size, size), torch.ones(2, 1, size, size)
    predicted = target.clone().requires_grad_()
    landmarks = frame(0, 0, size)["landmarks"][None].expand(2, -1, -1)
    perceptual = Perceptual({"vgg19": narrow()})
    assert perceptual(predicted, target, matte, landmarks)["vgg19"].item() == 0
    loss = perceptual(predicted, 1 - target, matte, landmarks)["vgg19"]
    loss.backward()
    assert loss > 0
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0


def test_only_losses_with_weights_need_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    assert len(open_perceptual({"vgg19": 0.0, "gaze": 0.0, "pixel": 1.0}, None).nets) == 0
    with pytest.raises(DependencyError, match=r"--set loss\.vggface=0"):
        open_perceptual({"vggface": 4.0}, None)
    with pytest.raises(UsageError, match="give --gaze CHECKPOINT"):
        open_perceptual({"gaze": 5.0}, None)
