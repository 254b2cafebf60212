"""Networks small enough to run in milliseconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

# Drawn heads and stages of tiny nets, which the loop's tests share.
sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from avatarkit.nets.convs import Style
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.build import build_base
from avatarkit.systems.megaportraits.config import BaseConfig, EnhancerConfig, LocalConfig, StudentConfig

STYLE = Style(groups=4)
RESNET = ResNetConfig(width=8, blocks=(1, 1), stem_pool=False)
LOCAL = LocalConfig(stem=8, widths=(8, 12), channels=6, depth=4, blocks=1)


@pytest.fixture
def base_config() -> BaseConfig:
    return BaseConfig(
        size=32,
        side=8,
        code=10,
        face_size=16,
        local=LOCAL,
        global_net=ResNetConfig(width=4, blocks=(1, 1), bottleneck=True, stem_pool=False),
        expression_net=RESNET,
        warp_start=12,
        warp_depth=2,
        warp_widths=(8,),
        g3d_widths=(8, 12, 16),
        projection=16,
        g2d_blocks=1,
        g2d_widths=(12, 8, 8),
        style=STYLE,
    )


@pytest.fixture
def enhancer_config() -> EnhancerConfig:
    return EnhancerConfig(size=16, local=LOCAL, width=12, blocks=1, up_widths=(8, 8), tail_widths=(4,), style=STYLE)


@pytest.fixture
def student_config() -> StudentConfig:
    return StudentConfig(size=32, encoder=RESNET, widths=(8, 8, 8), identity_side=8, style=STYLE)


@pytest.fixture
def base(base_config: BaseConfig) -> Base:
    return build_base(base_config, seed=0)


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)
