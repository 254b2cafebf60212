"""Optimiser states as tensors and plain values, so that they are stored without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from avatarkit.errors import InputError


def pack(optimisers: Mapping[str, torch.optim.Optimizer]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors "name/parameter/key" and the rest: groups and values that are no tensors, by name."""
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    for name, optimiser in optimisers.items():
        state = optimiser.state_dict()
        values: dict[str, dict[str, Any]] = {}
        for number, entries in state["state"].items():
            for key, value in entries.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{name}/{number}/{key}"] = value
                else:
                    values.setdefault(str(number), {})[key] = value
        plain[name] = {"groups": state["param_groups"], "values": values}
    return tensors, plain


def copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU that later steps do not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def unpack(
    optimisers: Mapping[str, torch.optim.Optimizer],
    tensors: Mapping[str, torch.Tensor],
    plain: Mapping[str, Any],
    where: object,
) -> None:
    """Put packed states back.

    Args:
        where: for messages: the checkpoint.

    Raises:
        InputError: the states are not those of these optimisers.
    """
    if set(plain) != set(optimisers):
        raise InputError(f"{where}: holds the optimisers {sorted(plain)}, not {sorted(optimisers)}")
    for name, optimiser in optimisers.items():
        try:
            state: dict[int, dict[str, Any]] = {
                int(number): dict(entries) for number, entries in plain[name]["values"].items()
            }
            for key, tensor in tensors.items():
                owner, number, entry = key.split("/")
                if owner == name:
                    state.setdefault(int(number), {})[entry] = tensor
            optimiser.load_state_dict({"state": state, "param_groups": plain[name]["groups"]})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: the state of the optimiser {name} does not fit: {error}") from error
