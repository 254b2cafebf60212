"""Networks from a configuration and a seed: equal seeds give equal weights, and torch's own generator is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from avatarkit.nets.discriminator import Discriminator, DiscriminatorConfig
from avatarkit.nets.identity import Identity, IdentityConfig
from avatarkit.systems.metaportrait.config import EnhancerConfig, FlowConfig, PortraitConfig
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.flow import Flow
from avatarkit.systems.metaportrait.portrait import KnownIdentity, Portrait

__all__ = [
    "build_discriminator", "build_enhancer", "build_flow", "build_identity", "build_own_portrait", "build_portrait",
]  # fmt: skip

Net = TypeVar("Net", bound=nn.Module)


def build_flow(config: FlowConfig, seed: int) -> Flow:
    """Motion encoder and flow net."""
    return _seeded(lambda: Flow(config), seed)


def build_portrait(config: PortraitConfig, seed: int) -> Portrait:
    """All networks of a frame; the recogniser with random weights."""
    return _seeded(lambda: Portrait(config), seed)


def build_own_portrait(config: PortraitConfig, seed: int) -> Portrait:
    """A portrait of one person, without a recogniser; the identity vector is zeros until one is loaded."""
    return _seeded(lambda: Portrait(config, KnownIdentity(torch.zeros(1, config.identity.code))), seed)


def build_identity(config: IdentityConfig, seed: int) -> Identity:
    """A recogniser."""
    return _seeded(lambda: Identity(config), seed)


def build_enhancer(config: EnhancerConfig, seed: int) -> Enhancer:
    """The enhancer, with or without windows in time."""
    return _seeded(lambda: Enhancer(config), seed)


def build_discriminator(config: DiscriminatorConfig, seed: int) -> Discriminator:
    """A multi-scale patch discriminator."""
    return _seeded(lambda: Discriminator(config), seed)


def _seeded(make: Callable[[], Net], seed: int) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
