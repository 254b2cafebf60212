from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.head.face_crop import face_crops
from avatarkit.nets.convs import Style
from avatarkit.nets.resnet import ResNet, ResNetConfig
from avatarkit.nets.sizes import doublings
from avatarkit.systems.megaportraits.build import build_base
from avatarkit.systems.megaportraits.config import PRESETS

NAMES = list(PRESETS)


def test_names() -> None:
    assert NAMES == ["paper-512", "paper-256", "small-256", "tiny-64"]
    assert all(name == preset.name and name.endswith(str(preset.base.size)) for name, preset in PRESETS.items())


@pytest.mark.parametrize("name", NAMES)
def test_base_model_draws_at_its_size(name: str) -> None:
    config = PRESETS[name].base
    with torch.device("meta"):
        base, image = build_base(config, seed=0), torch.empty(1, 3, config.size, config.size)
        z = base.expression(torch.empty(1, 3, config.face_size, config.face_size))
        source = base.encode_source(image, torch.empty(1, 4, 4), z)
        driven = base.drive(source, torch.empty(1, 4, 4), z)
    assert driven.image.shape == image.shape
    assert source.volume.shape == (1, config.local.channels, config.local.depth, config.side, config.side)


def test_paper_256_keeps_the_volume() -> None:
    large, small = PRESETS["paper-512"].base, PRESETS["paper-256"].base
    assert (large.side, small.side) == (64, 64)
    changed = {key for key, value in asdict(large).items() if asdict(small)[key] != value}
    assert changed == {"size"}


@pytest.mark.parametrize("name", ["paper-512", "paper-256"])
def test_published_presets_are_normalised_throughout(name: str) -> None:
    preset = PRESETS[name]
    for config in (preset.base, preset.enhancer, preset.student):
        assert config.style == Style(groups=32, standardise=True, spectral=True, skip_kernel=1)
    for config in (preset.base_discriminator, preset.enhancer_discriminator, preset.student_discriminator):
        assert config.spectral


def test_tiny_base_model_learns_to_copy() -> None:
    """A few steps bring a picture nearer: the whole way from source to frame lets gradients through."""
    config, draw = PRESETS["tiny-64"].base, torch.Generator().manual_seed(0)
    base = build_base(config, seed=0).train()
    coarse = torch.rand(1, 3, 4, 4, generator=draw)
    image = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear", align_corners=False)
    head = torch.eye(4)[None]
    optimiser = torch.optim.AdamW(base.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        z = base.expression(face_crops(image, head, config.face_size))
        loss = (base.drive(base.encode_source(image, head, z), head, z).image - image).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("config", "side", "outputs"),
    [
        (ResNetConfig(), 128, 512),
        (ResNetConfig(blocks=(3, 4, 6, 3), bottleneck=True), 128, 2048),
        (ResNetConfig(width=16, blocks=(1, 1, 1), stem_pool=False), 64, 64),
    ],
)
def test_resnets_know_their_output(config: ResNetConfig, side: int, outputs: int) -> None:
    with torch.device("meta"):
        maps = ResNet(config, Style())(torch.empty(1, 3, side, side))
    assert maps.shape == (1, outputs, side // config.stride, side // config.stride)
    assert config.outputs == outputs


def test_doublings() -> None:
    assert [doublings(4, 4), doublings(4, 8), doublings(1, 32)] == [0, 1, 5]
    for small, large in ((4, 12), (8, 4), (3, 7)):
        with pytest.raises(UsageError, match="power of two"):
            doublings(small, large)
