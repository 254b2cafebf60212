"""Where networks run and in which precision: the one place that knows about accelerators."""

from __future__ import annotations

from collections.abc import Sequence
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


def constant(values: Sequence[object], like: torch.Tensor) -> torch.Tensor:
    """Numbers on the device of a tensor, floats in its precision; the host does not wait for the device.

    To make a tensor there, or to index by a list, would wait for all that the device still has to do.
    """
    import torch

    made = torch.tensor(values)
    if made.is_floating_point():
        made = made.to(like.dtype)
    return made.to(like.device, non_blocking=True)


def chosen(rows: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
    """The second dimension of a tensor B x N x ... at places: B x len(places) x ...; see `constant`."""
    return rows.index_select(1, constant(places, rows))


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch automatic mixed precision off for a while, on devices that have it.

    Coordinates and norms of weights stay in float32 while the rest of a network runs in half precision.
    """
    import torch

    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def bfloat16_is_faster() -> bool:
    """Whether the processor computes with bfloat16 by itself; others take longer with it than with float32."""
    import torch

    return torch.cpu._is_avx512_bf16_supported()


def at_least_single(values: torch.Tensor) -> torch.Tensor:
    """Half-precision values as float32, others as they are: coordinates and small differences need the digits."""
    return values.float() if values.element_size() < 4 else values
