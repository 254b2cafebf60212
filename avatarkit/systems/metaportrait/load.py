"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from avatarkit.checkpoint import Checkpoint
from avatarkit.nets.convs import Conv2d
from avatarkit.nets.identity import Identity, IdentityConfig
from avatarkit.nets.trained import config_of, trained
from avatarkit.systems.metaportrait import build
from avatarkit.systems.metaportrait.config import EnhancerConfig, FlowConfig, PortraitConfig, check_lines
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.flow import Flow
from avatarkit.systems.metaportrait.portrait import Portrait

__all__ = [
    "flow_config", "load_enhancer", "load_flow", "load_identity", "load_portrait", "portrait_config", "unspectral",
]  # fmt: skip


def flow_config(checkpoint: Checkpoint) -> FlowConfig:
    """Of a flow.

    Raises:
        InputError: the checkpoint holds none, or knows other landmark pictures than this program draws.
    """
    config = config_of(checkpoint, "flow", FlowConfig)
    check_lines(config.lines, str(checkpoint.folder))
    return config


def portrait_config(checkpoint: Checkpoint) -> PortraitConfig:
    """Of a portrait; InputError as `flow_config`."""
    config = config_of(checkpoint, "portrait", PortraitConfig)
    check_lines(config.flow.lines, str(checkpoint.folder))
    return config


def load_flow(checkpoint: Checkpoint) -> Flow:
    """The flow with its average weights, frozen; InputError where the checkpoint does not hold one."""
    return trained(checkpoint, "flow", flow_config(checkpoint), lambda config: build.build_flow(config, 0))


def load_portrait(checkpoint: Checkpoint) -> Portrait:
    """All networks of a frame, recogniser included; as `load_flow`."""
    return trained(checkpoint, "portrait", portrait_config(checkpoint), lambda config: build.build_portrait(config, 0))


def load_enhancer(checkpoint: Checkpoint) -> Enhancer:
    """The enhancer, with windows or without; as `load_flow`."""
    config = config_of(checkpoint, "enhancer", EnhancerConfig)
    return trained(checkpoint, "enhancer", config, lambda config: build.build_enhancer(config, 0))


def load_identity(checkpoint: Checkpoint) -> Identity:
    """A recogniser; as `load_flow`."""
    config = config_of(checkpoint, "identity", IdentityConfig)
    return trained(checkpoint, "identity", config, lambda config: build.build_identity(config, 0))


@torch.no_grad()
def unspectral(portrait: Portrait) -> Portrait:
    """The same function with plain weights, in place: inner steps of meta-learning move the weights that convolve."""
    for module in portrait.modules():
        if isinstance(module, Conv2d) and module.spectral is not None:
            module.weight.copy_(module.used_weight())
            module.spectral = None
    config = portrait.config
    flow = replace(config.flow, style=replace(config.flow.style, spectral=False))
    portrait.config = replace(config, flow=flow, style=replace(config.style, spectral=False))
    portrait.flow.config = flow
    return portrait
