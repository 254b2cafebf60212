"""Exponential moving average of the trained weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

HORIZON = 10
"""In the first steps the average follows faster: the decay is at most (1 + step) / (HORIZON + step)."""


class Ema:
    """A copy of `nets` whose weights are averaged over the steps; buffers are copied as they are."""

    def __init__(self, nets: nn.ModuleDict, decay: float) -> None:
        self.nets = copy.deepcopy(nets).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, nets: nn.ModuleDict, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (HORIZON + step))
        averaged: list[Tensor] = list(self.nets.parameters())
        current: list[Tensor] = list(nets.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)
        for mine, theirs in zip(self.nets.buffers(), nets.buffers(), strict=True):
            mine.copy_(theirs)
