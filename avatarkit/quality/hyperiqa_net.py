"""HyperIQA's network, our own definition in the layout of the authors' checkpoints.

S. Su, Q. Yan, Y. Zhu, C. Zhang, X. Ge, J. Sun, Y. Zhang, "Blindly Assess Image Quality in the Wild Guided by
a Self-Adaptive Hyper Network", CVPR 2020, figure 2: a ResNet-50 sees what the picture shows, a hyper network
turns that into the weights of a small target network, and this one rates local distortion features.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50

from avatarkit.weights.load import load_into

__all__ = ["PATCH_PX", "HyperIQANet", "load_hyperiqa"]

PATCH_PX = 224
"""Side of the patches that the network takes; its linear layers fit no other."""

_TRUNK = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
_STAGE_CHANNELS = (256, 512, 1024, 2048)
_LOCAL_CHANNELS = (16, 32, 64)
_LOCAL, _LOCAL_LAST = 16, 176  # features of each of the first three stages, and of the last
_TARGET = (224, 112, 56, 28, 14)  # widths of the target network; a single score follows
_HYPER = 112  # channels of the hyper network
_POOL = 7


class HyperIQANet(nn.Module):
    """Patch to score."""

    def __init__(self) -> None:
        super().__init__()
        self.res = _LocalFeatures()
        self.conv1 = nn.Sequential(
            nn.Conv2d(2048, 1024, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 512, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(512, _HYPER, 1),
            nn.ReLU(inplace=True),
        )
        for layer, (inputs, outputs) in enumerate(pairwise(_TARGET), start=1):
            # A weight is reshaped from its map of 7 x 7, so the map has in * out / 49 channels.
            conv = nn.Conv2d(_HYPER, inputs * outputs // _POOL**2, 3, padding=1)
            self.add_module(f"fc{layer}w_conv", conv)
            self.add_module(f"fc{layer}b_fc", nn.Linear(_HYPER, outputs))
        self.fc5w_fc = nn.Linear(_HYPER, _TARGET[-1])
        self.fc5b_fc = nn.Linear(_HYPER, 1)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Rate patches.

        Args:
            patches: B x 3 x 224 x 224 float32, RGB less ImageNet's mean over its standard deviation.

        Returns:
            Scores, B float32, nominally 0 to 100 (the higher the better) but unbounded; and the local
            distortion features that they were read from, B x 224.
        """
        local, stage4 = self.res(patches)
        content = self.conv1(stage4)
        mean = content.mean(dim=(2, 3))
        out = local[:, :, None]
        for layer, (inputs, outputs) in enumerate(pairwise(_TARGET), start=1):
            weight = self.get_submodule(f"fc{layer}w_conv")(content).reshape(-1, outputs, inputs)
            bias = self.get_submodule(f"fc{layer}b_fc")(mean)[:, :, None]
            out = torch.sigmoid(torch.baddbmm(bias, weight, out))
        score = torch.baddbmm(self.fc5b_fc(mean)[:, :, None], self.fc5w_fc(mean)[:, None, :], out)
        return score[:, 0, 0], local


def load_hyperiqa(state: Mapping[str, Tensor], where: str | Path = "state dict") -> HyperIQANet:
    """Build the network with the weights of a state dict, ready for evaluation.

    Args:
        state: tensors by the checkpoint's key; every key must be there, no other.
        where: how errors name the state dict.

    Raises:
        WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
    """
    return load_into(HyperIQANet(), state, where, "HyperIQA")


class _LocalFeatures(nn.Module):
    """ResNet-50 trunk, and a local feature vector from each of its four stages."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(weights=None)
        for name in _TRUNK:
            self.add_module(name, getattr(resnet, name))
        sides = (PATCH_PX // step // _POOL for step in (4, 8, 16))
        stages = zip(_STAGE_CHANNELS[:-1], _LOCAL_CHANNELS, sides, strict=True)
        for stage, (inputs, channels, side) in enumerate(stages, start=1):
            pool = nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.AvgPool2d(_POOL, _POOL))
            self.add_module(f"lda{stage}_pool", pool)
            self.add_module(f"lda{stage}_fc", nn.Linear(channels * side**2, _LOCAL))
        self.lda4_fc = nn.Linear(_STAGE_CHANNELS[-1], _LOCAL_LAST)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        features = patches
        for name in _TRUNK[:4]:
            features = self.get_submodule(name)(features)
        local = []
        for stage in (1, 2, 3):
            features = self.get_submodule(f"layer{stage}")(features)
            pooled = self.get_submodule(f"lda{stage}_pool")(features)
            local.append(self.get_submodule(f"lda{stage}_fc")(pooled.flatten(1)))
        features = self.get_submodule("layer4")(features)
        local.append(self.lda4_fc(F.avg_pool2d(features, _POOL, _POOL).flatten(1)))
        return torch.cat(local, dim=1), features
