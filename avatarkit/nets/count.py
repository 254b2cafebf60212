"""Parameters of a network, and floating-point operations of its layers while it runs, also on the meta device.

A multiply-add counts as two operations. Convolutions and linear layers count; norms, activations and sampling, a few
per cent, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

__all__ = ["NetCount", "Passed", "counted", "layers_counted", "parameters_of"]

_LAYERS = (nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True)
class NetCount:
    """One network.

    net: its name, as in the paper. parameters: trained numbers. flops: operations for one sample.
    runs: when: once per "source", per "frame", per "source and frame", or in "training" alone.
    """

    net: str
    parameters: int
    flops: int
    runs: str


def parameters_of(net: nn.Module) -> int:
    """How many numbers it trains."""
    return sum(parameter.numel() for parameter in net.parameters())


@dataclass
class Passed:
    """What networks did: operations of their layers, and the numbers that were trained in modules that were called."""

    flops: int = 0
    weights: dict[int, int] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """How many trained numbers took part, each once."""
        return sum(self.weights.values())


@contextmanager
def layers_counted() -> Iterator[Passed]:
    """Count what any network does in the body, in whatever thread; modules that were compiled count nothing."""
    passed, lock = Passed(), Lock()

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        with lock:
            if isinstance(layer, _LAYERS):
                passed.flops += _operations(layer, output)
            passed.weights |= {id(weight): weight.numel() for weight in layer.parameters(recurse=False)}

    hook = register_module_forward_hook(count)
    try:
        yield passed
    finally:
        hook.remove()


@contextmanager
def counted(net: nn.Module) -> Iterator[list[int]]:
    """Count, in the list's only entry, the operations that a net's layers do in the body."""
    total = [0]

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        total[0] += _operations(layer, output)

    layers = [layer for layer in net.modules() if isinstance(layer, _LAYERS)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield total
    finally:
        for hook in hooks:
            hook.remove()


def _operations(layer: nn.Module, output: Tensor) -> int:
    """Each output value of a convolution or linear layer takes one filter's weights."""
    weight = layer.get_parameter("weight")
    return 2 * output.numel() * (weight.numel() // len(weight))
