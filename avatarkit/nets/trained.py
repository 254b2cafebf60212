"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.nets.plain import from_plain
from avatarkit.weights.load import load_into

__all__ = ["config_of", "trained"]

Config = TypeVar("Config")
Net = TypeVar("Net", bound=nn.Module)


def config_of(checkpoint: Checkpoint, name: str, kind: type[Config]) -> Config:
    """The configuration of a net, as the checkpoint holds it.

    Args:
        name: of the net in checkpoints. kind: its dataclass.

    Raises:
        InputError: the checkpoint has no such net, or its configuration is damaged or of another version.
    """
    meta = checkpoint.meta
    if name not in meta.nets:
        raise InputError(f"{checkpoint.folder}: is a checkpoint of train {meta.stage} and has no net {name}")
    return from_plain(kind, meta.nets[name].get("config"), f"{checkpoint.folder}: nets.{name}.config")


def trained(checkpoint: Checkpoint, name: str, config: Config, make: Callable[[Config], Net]) -> Net:
    """A net with its average weights where the checkpoint has them, frozen.

    Args:
        config: see `config_of`. make: builds the net from it.

    Raises:
        InputError: it cannot be built so, or its tensors are others.
    """
    try:
        net = make(config)
    except (UsageError, ValueError, RuntimeError) as error:
        raise InputError(f"{checkpoint.folder}: nets.{name}.config cannot be built: {error}") from error
    averaged = f"{name}.ema"
    tensors = checkpoint.tensors(averaged if checkpoint.has(averaged) else name)
    return load_into(net, tensors, checkpoint.folder, f"net {name}").requires_grad_(False)
