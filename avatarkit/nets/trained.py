"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.nets.plain import from_plain
from avatarkit.weights.errors import WrongFile
from avatarkit.weights.load import check_keys, load_into

__all__ = ["config_of", "trained"]

_CALLS_PER_TENSOR = 15
"""Of torch, while a net is laid out; our own networks need 5 to 11."""
_UNFIT = (UsageError, ValueError, RuntimeError, ArithmeticError, LookupError, TypeError)

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

    It is laid out without memory first: what a checkpoint says of a net costs no more than the tensors that it brings.

    Args:
        config: see `config_of`. make: builds the net from it.

    Raises:
        InputError: it cannot be built so, or its tensors are others.
    """
    averaged = f"{name}.ema"
    tensors = checkpoint.tensors(averaged if checkpoint.has(averaged) else name)
    try:
        with _laid_out(len(tensors)):
            planned = make(config).state_dict()
        check_keys(tensors, list(planned), checkpoint.folder)
        for key, tensor in planned.items():
            if tensor.shape != tensors[key].shape:
                shapes = f"{key} is {tuple(tensors[key].shape)}, not {tuple(tensor.shape)}"
                raise WrongFile(f"{checkpoint.folder}: is not net {name}'s state dict: {shapes}")
        net = make(config)
    except _UNFIT as error:
        raise InputError(f"{checkpoint.folder}: nets.{name}.config cannot be built: {error}") from error
    return load_into(net, tensors, checkpoint.folder, f"net {name}").requires_grad_(False)


@contextmanager
def _laid_out(tensors: int) -> Iterator[None]:
    """Within it nets take no memory, and have about as many tensors as are given, or end with a ValueError."""
    # An end in the middle of `torch.no_grad` keeps it from switching gradients on again: that is a call of torch too.
    with torch.set_grad_enabled(torch.is_grad_enabled()), torch.device("meta"), _Sparing(tensors):
        yield


class _Sparing(TorchFunctionMode):
    """Ends the laying out of a net that has many more tensors than a file: a million blocks take minutes to refuse."""

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self._left = _CALLS_PER_TENSOR * (tensors + 20)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has many more tensors than come with it")
        return func(*args, **(kwargs or {}))
