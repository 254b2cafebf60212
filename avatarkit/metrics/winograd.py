"""Convolutions of 3 x 3 by a quarter of the products: for networks that are only looked at, on processors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["WinogradConv"]

_KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
"""Times 24."""
_TILE = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv(nn.Conv2d):
    """A convolution of 3 x 3, padded by 1; without gradients on a CPU it takes half the time.

    Then tiles of 6 x 6 pixels, kernels and results are carried over to where a convolution is a product, with about
    four times the rounding error of a plain one (1e-5 of the largest value at most).

    Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(4 x 4, 3 x 3).
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)
        self._kernels: tuple[int, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W to B x D x H x W."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        batch, channels, height, width = x.shape
        down, across = -(-height // 4), -(-width // 4)
        # Pixels with their channels side by side, so that a tile's pixel is one run of memory.
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 4 * across - width + 1, 1, 4 * down - height + 1)).contiguous()
        one, row, pixel, channel = padded.stride()
        tiles = padded.as_strided(
            (6, 6, batch, down, across, channels), (row, pixel, one, 4 * row, 4 * pixel, channel)
        ).reshape(36, -1)
        carried = torch.bmm((_both(_TILE) @ tiles).view(36, -1, channels), self._carried_kernels())
        made = (_both(_OUTPUT) @ carried.view(36, -1)).view(4, 4, batch, down, across, -1)
        whole = made.permute(2, 3, 0, 4, 1, 5).reshape(batch, 4 * down, 4 * across, -1)[:, :height, :width]
        return (whole if self.bias is None else whole + self.bias).permute(0, 3, 1, 2)

    def _carried_kernels(self) -> Tensor:
        """36 x C x D, made anew when the weights have changed."""
        version = self.weight._version
        if self._kernels is None or self._kernels[0] != version:
            side = torch.tensor(_KERNEL, dtype=torch.float64) / 24
            kernels = torch.einsum("ij,dcjk,lk->ilcd", side, self.weight.double(), side)
            self._kernels = version, kernels.flatten(0, 1).float().contiguous()
        return self._kernels[1]


def _both(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """What applies a matrix to rows and columns of a tile that is laid out as one vector."""
    one = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(one, one)
