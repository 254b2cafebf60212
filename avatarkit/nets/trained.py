"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.nets.plain import from_plain
from avatarkit.weights.errors import WrongFile
from avatarkit.weights.load import check_keys, load_into

__all__ = ["config_of", "filled", "trained"]

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
    """A net with its average weights where the checkpoint has them; as `filled`.

    Args:
        config: see `config_of`. make: builds the net from it.
    """
    averaged = f"{name}.ema"
    tensors = checkpoint.tensors(averaged if checkpoint.has(averaged) else name)
    return filled(lambda: make(config), tensors, checkpoint.folder, name)


def filled(make: Callable[[], Net], tensors: Mapping[str, torch.Tensor], where: Path, name: str) -> Net:
    """A net with the weights of a file, frozen, ready for evaluation.

    It is laid out without memory first: what a file says of a net costs no more than the tensors that it brings.

    Args:
        make: builds the net from the file's configuration. where, name: how errors name file and net.

    Raises:
        InputError: it cannot be built so, or its tensors are others, or no numbers.
    """
    try:
        with _laid_out(len(tensors)):
            planned = make().state_dict()
        try:
            check_keys(tensors, list(planned), where)
        except WrongFile as error:
            raise WrongFile(f"{error}; one of another version has to be trained again") from error
        for key, tensor in planned.items():
            given = tensors[key]
            if tensor.shape != given.shape or tensor.is_floating_point() != given.is_floating_point():
                shapes = f"{key} is {_form(given)}, not {_form(tensor)}"
                raise WrongFile(f"{where}: is not net {name}'s state dict: {shapes}")
            if not bool(torch.isfinite(given).all()):
                raise WrongFile(f"{where}: net {name}: {key} holds values that are no numbers")
        net = make()
    except _UNFIT as error:
        raise InputError(f"{where}: nets.{name}.config cannot be built: {error}") from error
    return load_into(net, tensors, where, f"net {name}").requires_grad_(False)


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


@contextmanager
def _laid_out(tensors: int) -> Iterator[None]:
    """Within it nets take no memory, and have about as many tensors as are given, or end with a ValueError."""
    # An end in the middle of `torch.no_grad` keeps it from switching gradients on again: that is a call of torch too.
    with warnings.catch_warnings(), torch.set_grad_enabled(torch.is_grad_enabled()), torch.device("meta"):
        warnings.simplefilter("ignore")  # of sizes that make no sense; what follows refuses them
        with _Sparing(tensors):
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
