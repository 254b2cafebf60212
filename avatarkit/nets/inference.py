"""How networks run where nothing is trained: device, precision, and pictures in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatarkit.devices import choose_device
from avatarkit.errors import DependencyError, UsageError
from avatarkit.nets.convs import fold_weights

__all__ = ["Inference", "frames_at_once", "open_inference"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MOST_AT_ONCE = 32
_SHARE = 0.5  # of a device's free memory that one batch may take
_CPU_PIXELS = 512 * 512

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Inference:
    """Where and how networks run.

    device: "cpu", "cuda" or "mps". precision: "fp32", "bf16" or "fp16"; coordinates stay float32 (`full_precision`).
    compile: whether `compiled` translates.
    """

    device: str
    precision: str
    compile: bool = False

    def ready(self, net: Net) -> Net:
        """The network on the device, with the weights that convolve in place of the trained ones."""
        return fold_weights(net).to(self.device)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, translated for the device if asked for; the translation takes place at the first call."""
        return torch.compile(function) if self.compile else function

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it networks keep no gradients and compute in the precision.

        Raises:
            DependencyError: the device is out of memory, or the translation (`compile`) fails.
        """
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision != "fp32":
                stack.enter_context(torch.autocast(self.device, dtype=PRECISIONS[self.precision]))
            try:
                yield
            except torch.OutOfMemoryError as error:
                raise DependencyError(
                    f"--device {self.device}: out of memory; close other programs, or use --device cpu"
                ) from error
            except Exception as error:
                if self.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                    line = next(iter(str(error).splitlines()), "")
                    raise DependencyError(f"--compile: cannot be done here: {line}; leave it out") from error
                raise

    def batch(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Pictures (S, S, 3) as B x 3 x S x S float32 in [0, 1] on the device."""
        stacked = torch.from_numpy(np.stack(pictures)).to(self.device)
        return stacked.permute(0, 3, 1, 2).float() / 255

    def rows(self, values: Sequence[NDArray[np.floating[Any]]]) -> Tensor:
        """Arrays of one shape as a float32 batch on the device."""
        return torch.from_numpy(np.stack(values).astype(np.float32)).to(self.device)

    def pictures(self, frames_B3HW: Tensor) -> list[NDArray[np.uint8]]:
        """Frames in [0, 1] as arrays (H, W, 3)."""
        levels = (frames_B3HW.float().clamp(0, 1) * 255).round().to(torch.uint8)
        return list(np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy()))


def open_inference(device: str, precision: str, compile: bool) -> Inference:
    """Choose where to run.

    Args:
        device: as `choose_device`. precision: "auto" takes bf16 or fp16 where the device is faster with it (CUDA), and
            fp32 elsewhere.

    Raises:
        UsageError: unknown names. DependencyError: the device is not here, or does not have the precision.
    """
    chosen = choose_device(device)
    if precision == "auto":
        precision = "fp32" if chosen != "cuda" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: use one of auto, {', '.join(PRECISIONS)}")
    if precision == "fp16" and chosen == "cpu":
        raise DependencyError("--precision fp16: the CPU has none that is of use; use --precision bf16 or fp32")
    if precision == "bf16" and chosen == "cuda" and not torch.cuda.is_bf16_supported():
        raise DependencyError("--precision bf16: this GPU has none; use --precision fp16 or fp32")
    return Inference(chosen, precision, compile)


def frames_at_once(inference: Inference, size: int, once: Callable[[], object]) -> int:
    """How many frames to draw together.

    Args:
        size: side of the frames in pixels. once: draws one frame; on CUDA it is called to see what memory that takes.
    """
    if inference.device != "cuda":
        # More at a time gains little without a GPU, and feature maps that fit the caches are faster.
        return max(1, min(8, _CPU_PIXELS // (size * size)))
    once()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    once()
    needed = max(1, torch.cuda.max_memory_allocated() - before)
    free, _ = torch.cuda.mem_get_info()
    return int(max(1, min(MOST_AT_ONCE, _SHARE * free // needed)))
