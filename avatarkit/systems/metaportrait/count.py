"""Parameters and floating-point operations of each network of a preset, without computing or holding any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from avatarkit.nets.count import NetCount, counted, parameters_of
from avatarkit.nets.discriminator import Discriminator
from avatarkit.nets.identity import Identity
from avatarkit.systems.metaportrait.config import Preset
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.flow import Flow
from avatarkit.systems.metaportrait.portrait import Portrait

__all__ = ["count_enhancer", "count_flow", "count_identity", "count_portrait"]


def count_flow(preset: Preset) -> Iterator[NetCount]:
    """E_w and F_w."""
    with torch.device("meta"):
        flow = Flow(preset.portrait.flow)
        seen, code = torch.empty(1, 9, *_square(preset)), torch.empty(1, flow.config.code)
    yield _count("E_w", flow.encoder, "frame", seen)
    yield _count("F_w", flow.net, "frame", seen, code)


def count_portrait(preset: Preset) -> Iterator[NetCount]:
    """All networks of a frame, and the discriminator."""
    yield from count_flow(preset)
    with torch.device("meta"):
        portrait, judge = Portrait(preset.portrait), Discriminator(preset.discriminator)
        image, landmarks = torch.empty(1, 3, *_square(preset)), torch.empty(1, 478, 2)
        maps = portrait.source_encoder(image)
        sides = [torch.cat([one, one.new_empty(1, 18, *one.shape[-2:])], 1) for one in maps]
        z_id = torch.empty(1, preset.portrait.identity.code)
    yield _count("source encoder", portrait.source_encoder, "source", image)
    yield _count("identity, frozen", portrait.identity, "source", image, landmarks)
    yield _count("generator", portrait.generator, "frame", z_id, sides)
    yield _count("D", judge, "training", image)


def count_enhancer(preset: Preset, windows: bool) -> Iterator[NetCount]:
    """The enhancer; with its windows where asked for."""
    with torch.device("meta"):
        net = Enhancer(replace(preset.enhancer, windows=windows))
        clip = torch.empty(1, 1, 3, *_square(preset))
    yield _count("enhancer", net, "frame", clip)


def count_identity(preset: Preset) -> Iterator[NetCount]:
    """The recogniser of our own."""
    with torch.device("meta"):
        net = Identity(preset.own_identity)
        image, landmarks = torch.empty(1, 3, *_square(preset)), torch.empty(1, 478, 2)
    yield _count("identity", net, "source", image, landmarks)


def _square(preset: Preset) -> tuple[int, int]:
    return preset.portrait.size, preset.portrait.size


def _count(name: str, net: nn.Module, runs: str, *inputs: Tensor | list[Tensor]) -> NetCount:
    with torch.device("meta"), torch.no_grad(), counted(net) as total:
        net(*inputs)
    return NetCount(name, parameters_of(net), total[0], runs)
