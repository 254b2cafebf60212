"""Cycle loss on motion codes, after H. Wang et al., "CosFace: Large Margin Cosine Loss", CVPR 2018.

MegaPortraits, equations 6 and 7: `d(a, b) = s (<a, b> - m)` with the cosine `<a, b>`, and for each positive pair `p`
the loss is `-log(exp d(p) / (exp d(p) + sum over negative pairs n of exp d(n)))`. Written so, with the margin on
positives and negatives alike, the margin cancels; CosFace's own form has it on the positive alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.losses.foreground import at_least_single, check_same

__all__ = ["CycleForm", "CycleLoss", "Pair", "cycle_loss"]

CycleForm = Literal["megaportraits", "cosface"]
Pair = tuple[Tensor, Tensor]


def cycle_loss(
    positives: Sequence[Pair],
    negatives: Sequence[Pair],
    scale: float = 5.0,
    margin: float = 0.2,
    form: str = "megaportraits",
) -> Tensor:
    """Sum over the positive pairs of the loss of equation 7, averaged over the batch.

    Args:
        positives: pairs of motion codes (B x D each) that should point one way, such as (z_sd, z_d), (z_s*d, z_d).
        negatives: pairs that should not, such as (z_sd, z_d*), (z_s*d, z_d*).
        scale, margin: `s` and `m`.
        form: "megaportraits" (equations 6 and 7 as written) or "cosface" (no margin on the negatives).

    Returns:
        A scalar. Nothing is detached.

    Raises:
        UsageError: no pairs, codes of different shapes, or an unknown form.
    """
    if form not in get_args(CycleForm):
        raise UsageError(f"cycle loss of form {form}: use one of {', '.join(get_args(CycleForm))}")
    if not positives or not negatives:
        raise UsageError("cycle loss needs at least one positive and one negative pair")
    margin_of_negatives = margin if form == "megaportraits" else 0.0
    wanted = torch.stack([scale * (_cosine(pair) - margin) for pair in positives])
    unwanted = torch.stack([scale * (_cosine(pair) - margin_of_negatives) for pair in negatives])
    # P x B against N x B: log(1 + sum of exp(n - p)) for each positive and sample.
    rest = torch.logsumexp(unwanted, dim=0)
    return F.softplus(rest - wanted).sum(dim=0).mean()


def _cosine(pair: Pair) -> Tensor:
    check_same(*pair, "motion code", "motion code")
    first, second = map(at_least_single, pair)
    return F.cosine_similarity(first, second, dim=-1)


class CycleLoss(nn.Module):
    """`cycle_loss` with its settings."""

    def __init__(self, scale: float = 5.0, margin: float = 0.2, form: CycleForm = "megaportraits") -> None:
        """Keep the settings; see `cycle_loss`."""
        super().__init__()
        self.scale, self.margin, self.form = scale, margin, form

    def forward(self, positives: Sequence[Pair], negatives: Sequence[Pair]) -> Tensor:
        """The loss, a scalar; see `cycle_loss`."""
        return cycle_loss(positives, negatives, self.scale, self.margin, self.form)
