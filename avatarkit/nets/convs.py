"""Convolutions whose weights are standardised and spectrally normalised as they are used.

Weight standardisation: S. Qiao et al., arXiv:1903.10520; here each filter gets mean 0 and variance 1 / fan-in (choice:
signals then keep their size, as in A. Brock et al., arXiv:2101.08692). Spectral normalisation: T. Miyato et al., ICLR
2018. Standardised weights do not change when they are scaled, so the spectral norm is taken after standardising.

Torch's own `parametrizations.spectral_norm` iterates in every forward pass. Then a pass that is run again to save
memory meets other weights than it did at first, and gradient accumulation differs from a larger batch. Here the
training loop iterates once before each step (`advance_norms`), so both agree, and compiled passes hold no counters.
State dicts have the plain key "weight".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.devices import at_least_single, full_precision
from avatarkit.errors import UsageError

__all__ = ["Conv2d", "Conv3d", "Spectral", "Style", "advance_norms", "decay_groups", "fold_weights", "standardised"]

_FIRST_ITERATIONS = 10
_EPS = 1e-8

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Style:
    """How the blocks of a network are built.

    groups: of group norms; fewer, by the greatest common divisor, where the channels cannot be divided so.
    standardise: weight standardisation of every convolution but a network's first and last.
    spectral: spectral normalisation of convolutions.
    skip_kernel: side of the convolution on a skip whose channels change; the paper's figure draws 3.
    """

    groups: int = 32
    standardise: bool = True
    spectral: bool = True
    skip_kernel: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1 or self.skip_kernel not in (1, 3, 5, 7):
            raise UsageError(
                f"network style: {self.groups} groups, skip_kernel {self.skip_kernel}; use 1 or more, and 1, 3, 5 or 7"
            )


class Spectral(nn.Module):
    """Divides weights by an estimate of their largest singular value; `advance_norms` lets the estimate follow."""

    u: Tensor

    def __init__(self, outputs: int) -> None:
        """Take the number of output channels, the rows of the matrix."""
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, outputs first, with norm 1, and the gradient of the division."""
        with full_precision(weight.device):
            matrix = at_least_single(weight).flatten(1)
            # The next iteration works in place, and a graph that is still needed may hold this one.
            norm = torch.linalg.vector_norm(matrix.T @ at_least_single(self.u).clone()).clamp(min=_EPS)
            divided: Tensor = weight / norm
            return divided

    @torch.no_grad()
    def iterate(self, matrix: Tensor, times: int) -> None:
        """Improve the estimate of the left singular vector."""
        for _ in range(times):
            self.u.copy_(F.normalize(matrix @ (matrix.T @ at_least_single(self.u)), dim=0, eps=_EPS))


def decay_groups(net: nn.Module) -> list[dict[str, Any]]:
    """Trained parameters for an optimiser: filters and matrices, which decay, and all others, which do not.

    Norms, biases, learned constants and identity tensors are no filters: decay would pull them towards a value that
    means something (no scale, no place, no person).
    """
    trained = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    filters = [weight for name, weight in trained if name.endswith("weight") and weight.dim() > 1]
    rest = [weight for name, weight in trained if not (name.endswith("weight") and weight.dim() > 1)]
    return [{"params": filters}, {"params": rest, "weight_decay": 0.0}]


def standardised(weight: Tensor) -> Tensor:
    """Filters (outputs first) with mean 0 and variance 1 / fan-in."""
    fan_in = weight[0].numel()
    variance, mean = torch.var_mean(weight.flatten(1), dim=1, correction=0)
    gain = torch.rsqrt(variance * fan_in + _EPS)
    shape = (-1, *[1] * (weight.dim() - 1))
    return (weight - mean.view(shape)) * gain.view(shape)


class _Normalised(nn.Module):
    """What 2-D and 3-D convolutions share."""

    weight: Tensor

    def _normalise(self, standardise: bool, spectral: bool) -> None:
        self.standardise = standardise
        self.spectral: Spectral | None = None
        if spectral:
            self.spectral = Spectral(len(self.weight))
            if not self.weight.is_meta:
                with torch.no_grad():
                    start = standardised(self.weight) if standardise else self.weight
                    self.spectral.iterate(start.flatten(1), _FIRST_ITERATIONS)

    @torch.no_grad()
    def advance(self) -> None:
        """One power iteration on the weight as it is."""
        if self.spectral is not None:
            weight = standardised(self.weight) if self.standardise else self.weight
            with full_precision(weight.device):
                self.spectral.iterate(at_least_single(weight).flatten(1), 1)

    def used_weight(self) -> Tensor:
        """The weight that convolves."""
        weight = self.weight
        if self.standardise:
            weight = standardised(weight)
        return weight if self.spectral is None else self.spectral(weight)


class Conv2d(nn.Conv2d, _Normalised):
    """A 2-D convolution that keeps the size at stride 1; `end` marks a network's first and last.

    Beyond the edges lie zeros, or with `repeat_edges` what lies on them: among zeros the outermost pixels of a picture
    are drawn unlike their neighbours, which shows as a rim.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style: Style,
        *,
        stride: int = 1,
        end: bool = False,
        repeat_edges: bool = False,
    ) -> None:
        """Build it with PyTorch's initial weights."""
        super().__init__(inputs, outputs, kernel, stride=stride, padding=0 if repeat_edges else kernel // 2)
        self._repeated = kernel // 2 if repeat_edges else 0
        self._normalise(style.standardise and not end, style.spectral)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve B x C x H x W."""
        if self._repeated:
            input = F.pad(input, 4 * (self._repeated,), mode="replicate")
        return F.conv2d(input, self.used_weight(), self.bias, self.stride, self.padding)


class Conv3d(nn.Conv3d, _Normalised):
    """A 3-D convolution that keeps the size; `end` marks a network's first and last."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style: Style, *, end: bool = False) -> None:
        """Build it with PyTorch's initial weights."""
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self._normalise(style.standardise and not end, style.spectral)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve B x C x D x H x W."""
        return F.conv3d(input, self.used_weight(), self.bias, self.stride, self.padding)


def advance_norms(*nets: nn.Module) -> None:
    """Let the spectral norms of networks follow their weights, by one power iteration each; once before each step."""
    for net in nets:
        for module in net.modules():
            if isinstance(module, _Normalised):
                module.advance()


def fold_weights(net: Net) -> Net:
    """Put the weights that convolve in place of those that are trained, in place, for fast inference.

    The net is then frozen and in evaluation mode; its state dict no longer fits a checkpoint.
    """
    net.eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, _Normalised):
            module.weight.copy_(module.used_weight())
            module.standardise, module.spectral = False, None
    return net
