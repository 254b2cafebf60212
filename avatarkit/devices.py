"""Where networks run and in which precision: the one place that knows about accelerators."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from avatarkit.errors import DependencyError, UsageError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(wanted: str = "auto") -> str:
    """The device to run networks on: "cuda", "mps" or "cpu".

    Args:
        wanted: "auto" takes CUDA, else Apple's MPS, else the CPU; any other name is taken as it is.

    Raises:
        UsageError: unknown name. DependencyError: the device is not there.
    """
    import torch

    if wanted not in DEVICES:
        raise UsageError(f"--device {wanted}: use one of {', '.join(DEVICES)}")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, usable in there.items() if usable)
    if not there[wanted]:
        raise DependencyError(f"--device {wanted}: torch {torch.__version__} finds none here; use --device cpu")
    return wanted


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch automatic mixed precision off for a while, on devices that have it.

    Coordinates and norms of weights stay in float32 while the rest of a network runs in half precision.
    """
    import torch

    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
