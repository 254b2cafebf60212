"""Whether losses and gradients are finite, asked of the device now and then instead of after each step.

Until then steps go on, and what they make of weights is thrown away: nothing is saved, drawn or measured unasked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avatarkit.errors import AvatarkitError
from avatarkit.training.failures import TrainingError, keep_batch
from avatarkit.training.feed import Positioned, Samples, collate


@dataclass(frozen=True)
class Doubt:
    """What a step gave: its figures, whether its gradients are finite (a tensor), and of each of its passes the
    positions and the loss."""

    step: int
    figures: Mapping[str, Tensor]
    finite: Tensor
    passes: Sequence[tuple[Sequence[int], Tensor]]

    def suspects(self) -> Sequence[int]:
        """Positions of the first pass whose loss is not finite, of the last one if all are."""
        broken = (positions for positions, loss in self.passes if not bool(torch.isfinite(loss)))
        return next(broken, self.passes[-1][0])


class Doubts:
    """The steps since the question was last asked."""

    def __init__(self) -> None:
        self._steps: list[Doubt] = []

    def add(self, step: int, figures: Mapping[str, Tensor], passes: Sequence[tuple[Sequence[int], Tensor]]) -> None:
        """Take in a step; those figures whose names end in "_norm" are the norms of its gradients."""
        norms = [value.detach() for name, value in figures.items() if name.endswith("_norm")]
        finite = torch.stack([torch.isfinite(norm) for norm in norms]).all()
        self._steps.append(Doubt(step, figures, finite, passes))

    def first(self) -> Doubt | None:
        """The first step whose gradients are no numbers, by one question to the device; forgets all of them."""
        steps, self._steps = self._steps, []
        if not steps:
            return None
        finite = torch.stack([step.finite for step in steps]).tolist()
        return next((step for step, fine in zip(steps, finite, strict=True) if not fine), None)


def diverged(doubt: Doubt, samples: Samples, folder: Path) -> TrainingError:
    """The error that tells of a step; its batch is read again, since it follows from its positions, and saved."""
    values = {name: float(value) for name, value in doubt.figures.items()}
    losses = {name: str(value) for name, value in values.items()}
    try:
        batch = collate([Positioned(samples)[position] for position in doubt.suspects()])
        kept = keep_batch(folder, batch, {"step": doubt.step, "losses": losses})
    except AvatarkitError as error:
        kept = f"the batch could not be read again: {error}"
    broken = [name for name, value in values.items() if value - value != 0]
    return TrainingError(
        f"step {doubt.step}: {', '.join(broken)} is no finite number; {kept};"
        " lower --set optim.lr or optim.clip_norm, or use precision=fp32; checkpoints before are unharmed"
    )
