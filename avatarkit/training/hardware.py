"""Where a training runs: the one place that knows processes, devices and mixed precision (Hugging Face accelerate)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import nn

from avatarkit.devices import choose_device
from avatarkit.errors import InputError, UsageError
from avatarkit.training.config import TrainConfig


def open_accelerator(device: str, config: TrainConfig) -> Accelerator:
    """The processes that take part and this one's device.

    Started by `torchrun` or `accelerate launch`, all processes they started take part; else this one alone.

    Args:
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: the batch does not divide by the processes and passes. DependencyError: no such device.
    """
    chosen = choose_device(device)
    # Accelerate keeps one state per process and would refuse a second training of another precision.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    accelerator = Accelerator(
        cpu=chosen == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        gradient_accumulation_steps=config.accumulation,
        # Buffers (of spectral norms) follow from weights, which all processes share.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
    if accelerator.device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all batches have one shape, so the fastest kernels are worth finding
    shares = accelerator.num_processes * config.accumulation
    if config.batch % shares:
        raise UsageError(
            f"batch={config.batch} does not divide by {accelerator.num_processes} processes x"
            f" accumulation={config.accumulation}: set a multiple of {shares}"
        )
    return accelerator


def to_device(value: Any, device: torch.device) -> Any:
    """Tensors of a nested batch on the device; whatever is no tensor stays as it is."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    return value


def average_gradients(accelerator: Accelerator, module: nn.Module) -> None:
    """Replace gradients by their mean over all processes, in one exchange."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    joined = accelerator.reduce(joined, reduction="mean")
    parts = joined.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def any_process(accelerator: Accelerator, *flags: bool) -> tuple[bool, ...]:
    """Which of the flags are set in at least one process, so that all act alike."""
    if accelerator.num_processes == 1:
        return flags
    mine = torch.tensor([float(flag) for flag in flags], device=accelerator.device)
    return tuple(bool(total > 0) for total in accelerator.reduce(mine, reduction="sum").tolist())


def check_alike(accelerator: Accelerator, seen: Mapping[str, str]) -> None:
    """Compare what all processes have before them; each calls it with the same options.

    Args:
        seen: by option, what stands for it here, such as a hash; "" for nothing.

    Raises:
        InputError: in all processes, where two of them differ.
    """
    if accelerator.num_processes == 1:
        return
    everywhere: list[Mapping[str, str]] = gather_object([dict(seen)])
    for option in seen:
        reported = [item[option] for item in everywhere]
        other = next((rank for rank, value in enumerate(reported) if value != reported[0]), None)
        if other is not None:
            raise InputError(
                f"{option}: process {other} of {len(reported)} does not find there what process 0 finds; all machines"
                f" must see the same {'dataset' if option == '--data' else 'newest checkpoint'}: give a folder that"
                " they share, by the same path"
            )


def peak_memory_gib(device: torch.device) -> float | None:
    """Most memory that tensors held on a CUDA device so far, in GiB; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
