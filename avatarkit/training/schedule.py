"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from avatarkit.training.config import OptimConfig

START_SHARE = 1 / 25
"""Where "one-cycle" begins, as a share of the highest rate (Smith and Topin's usual choice)."""


def learning_rate(step: int, steps: int, optim: OptimConfig) -> float:
    """The rate of step `step` of `steps`, counted from 0; from the last step on it stays at `lr_end`.

    "cosine" falls from `lr`; "one-cycle" rises for `rise` of the steps on a cosine, then falls on one.
    """
    share = min(max(step / max(steps - 1, 1), 0.0), 1.0)
    if optim.schedule == "one-cycle":
        if share < optim.rise:
            return _cosine(optim.lr * START_SHARE, optim.lr, share / optim.rise)
        share = (share - optim.rise) / (1 - optim.rise)
    return _cosine(optim.lr, optim.lr_end, share)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
