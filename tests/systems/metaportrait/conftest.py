"""Networks small enough to run in milliseconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Drawn heads and stages of tiny nets, which the loop's tests share.
sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
sys.path.insert(0, str(Path(__file__).parent))

from avatarkit.nets.convs import Style
from avatarkit.nets.identity import IdentityConfig
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.systems.metaportrait.build import build_portrait
from avatarkit.systems.metaportrait.config import FlowConfig, PortraitConfig, lines
from avatarkit.systems.metaportrait.portrait import Portrait

IDENTITY = IdentityConfig("own", 8, 16, ResNetConfig(width=8, blocks=(1, 1), stem_pool=False))


@pytest.fixture
def portrait_config() -> PortraitConfig:
    style = Style(standardise=False, spectral=True)
    flow = FlowConfig(
        size=32, lines=lines("contours"), code=8, motion_widths=(4, 8, 8), down_widths=(6, 8, 10), up_widths=(8,),
        hidden=6, style=style,
    )  # fmt: skip
    return PortraitConfig(
        size=32, flow=flow, identity=IDENTITY, source_widths=(6, 8), full_width=4, width=10, up_widths=(8, 6, 4),
        hidden=6, style=style,
    )  # fmt: skip


@pytest.fixture
def portrait(portrait_config: PortraitConfig) -> Portrait:
    return build_portrait(portrait_config, seed=0)
