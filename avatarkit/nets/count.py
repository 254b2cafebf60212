"""Parameters of a network, and floating-point operations of its layers while it runs, also on the meta device.

A multiply-add counts as two operations. Convolutions and linear layers count; norms, activations and sampling, a few
per cent, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["NetCount", "counted", "parameters_of"]


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


@contextmanager
def counted(net: nn.Module) -> Iterator[list[int]]:
    """Count, in the list's only entry, the operations that a net's layers do in the body."""
    total = [0]

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        # Each output value of a convolution or linear layer takes one filter's weights.
        weight = layer.get_parameter("weight")
        total[0] += 2 * output.numel() * (weight.numel() // len(weight))

    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield total
    finally:
        for hook in hooks:
            hook.remove()
