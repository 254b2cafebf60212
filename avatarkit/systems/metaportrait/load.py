"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.nets.convs import Conv2d
from avatarkit.nets.identity import Identity, IdentityConfig
from avatarkit.nets.plain import from_plain
from avatarkit.systems.metaportrait import build
from avatarkit.systems.metaportrait.config import EnhancerConfig, FlowConfig, PortraitConfig, check_lines
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.flow import Flow
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.weights.load import load_into

__all__ = [
    "flow_config", "load_enhancer", "load_flow", "load_identity", "load_portrait", "portrait_config", "unspectral",
]  # fmt: skip

Net = TypeVar("Net", bound=nn.Module)


def flow_config(checkpoint: Checkpoint) -> FlowConfig:
    """Of a flow.

    Raises:
        InputError: the checkpoint holds none, or knows other landmark pictures than this program draws.
    """
    config: FlowConfig = _config(checkpoint, "flow", FlowConfig)
    check_lines(config.lines, str(checkpoint.folder))
    return config


def portrait_config(checkpoint: Checkpoint) -> PortraitConfig:
    """Of a portrait; InputError as `flow_config`."""
    config: PortraitConfig = _config(checkpoint, "portrait", PortraitConfig)
    check_lines(config.flow.lines, str(checkpoint.folder))
    return config


def load_flow(checkpoint: Checkpoint) -> Flow:
    """The flow with its average weights, frozen; InputError where the checkpoint does not hold one."""
    return _loaded(checkpoint, "flow", flow_config(checkpoint), lambda config: build.build_flow(config, 0))


def load_portrait(checkpoint: Checkpoint) -> Portrait:
    """All networks of a frame, recogniser included; as `load_flow`."""
    return _loaded(checkpoint, "portrait", portrait_config(checkpoint), lambda config: build.build_portrait(config, 0))


def load_enhancer(checkpoint: Checkpoint) -> Enhancer:
    """The enhancer, with windows or without; as `load_flow`."""
    config = _config(checkpoint, "enhancer", EnhancerConfig)
    return _loaded(checkpoint, "enhancer", config, lambda config: build.build_enhancer(config, 0))


def load_identity(checkpoint: Checkpoint) -> Identity:
    """A recogniser; as `load_flow`."""
    config = _config(checkpoint, "identity", IdentityConfig)
    return _loaded(checkpoint, "identity", config, lambda config: build.build_identity(config, 0))


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


def _config(checkpoint: Checkpoint, name: str, kind: type[Any]) -> Any:
    meta = checkpoint.meta
    if name not in meta.nets:
        raise InputError(f"{checkpoint.folder}: is a checkpoint of train {meta.stage} and has no net {name}")
    where = f"{checkpoint.folder}: nets.{name}.config"
    try:
        return from_plain(kind, meta.nets[name].get("config"), where)
    except UsageError as error:
        raise InputError(f"{where}: cannot be built: {error}") from error


def _loaded(checkpoint: Checkpoint, name: str, config: Any, make: Callable[[Any], Net]) -> Net:
    try:
        net = make(config)
    except (UsageError, ValueError, RuntimeError) as error:
        raise InputError(f"{checkpoint.folder}: nets.{name}.config cannot be built: {error}") from error
    averaged = f"{name}.ema"
    tensors = checkpoint.tensors(averaged if checkpoint.has(averaged) else name)
    return load_into(net, tensors, checkpoint.folder, f"net {name}").requires_grad_(False)
