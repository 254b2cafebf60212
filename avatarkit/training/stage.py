"""What the loop knows about a stage: which nets it trains, its losses on a batch, and how it shows itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor, nn

from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.nets.convs import decay_groups

Batch = Mapping[str, Any]
"""Samples as the loader collates them, on the device: tensors, nested by frame, and "positions": list of int."""

Columns = dict[str, Tensor]
"""Pictures by title, float (B, 3, H, W) in [0, 1]; sizes may differ."""


class Outcome(TypedDict):
    """What the forward pass of a stage returns; a dict, since wrappers of modules look into nothing else.

    terms: losses without their weights, each a scalar that is the mean over the samples.
    fakes: pictures for the discriminator with the real ones: {"": (fake, real)} or more pairs under other
        names; the name is put before those of the losses.
    """

    terms: dict[str, Tensor]
    fakes: dict[str, tuple[Tensor, Tensor]]


class Steps(Protocol):
    """What a stage that owns its step is given; the loop itself."""

    optimisers: dict[str, torch.optim.Optimizer]

    @property
    def step(self) -> int:
        """Steps done so far."""

    def next_batch(self) -> Batch:
        """The samples of the next pass."""

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients, scaled as mixed precision and several processes want it."""

    def plain_step(self) -> dict[str, Tensor]:
        """The step of most stages: weighted losses, the discriminator's turn, clipped gradients, one update."""


class Stage(nn.Module, ABC):
    """A stage of training. Its forward pass takes a batch and returns an `Outcome`.

    nets: what is trained, averaged and saved, by name.
    adversary: the adversarial loss with its discriminator, or None. It is kept out of the module's
        children: its gradients are its own.
    Frozen nets may be children under other names; their parameters do not require gradients.
    """

    nets: nn.ModuleDict
    adversary: AdversarialLoss | None
    best: tuple[str, bool] | None = None
    """The figure of `measure` by which checkpoints are compared, and whether the higher one is better."""

    def __init__(self, nets: Mapping[str, nn.Module], adversary: AdversarialLoss | None = None) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(dict(nets))
        self.__dict__["adversary"] = adversary

    def train(self, mode: bool = True) -> Stage:
        """Set the mode of the trained nets; frozen ones stay in evaluation mode."""
        super().train(False)
        self.nets.train(mode)
        self.training = mode
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trained parameters in groups as torch's optimisers take them: "params", and what differs from the rest.

        A group's "lr_scale" multiplies the scheduled learning rate. By default filters and matrices decay, and norms,
        biases and learned tensors do not.
        """
        return decay_groups(self.nets)

    def take_step(self, steps: Steps) -> dict[str, Tensor]:
        """Train by one step; returns the losses, unweighted. Meta-learning and fine-tuning have steps of their own."""
        return steps.plain_step()

    def once(self, like: Tensor) -> Mapping[str, Tensor]:
        """What it computes before the first sample, and keeps on the device beside its nets; nothing by default.

        Args:
            like: of the device and type of a batch's pictures.
        """
        return {}

    def compiled_parts(self) -> list[nn.Module]:
        """What `compile` translates: modules that are called, not reached into; by default the nets' children."""
        return [part for net in self.nets.values() for part in net.children()]

    def concerns(self, figures: Mapping[str, float], done: float) -> list[str]:
        """What is wrong by a validation's figures and what to do, a line each.

        Args:
            figures: means of what `measure` gave. done: share of the steps.
        """
        return []

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """Losses on a batch."""

    @abstractmethod
    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Pictures of a batch, drawn with `nets`: the trained ones or their average."""

    @abstractmethod
    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Figures per sample of a validation batch, each (B,), by name with its unit."""


def freeze(net: nn.Module) -> None:
    """Put a net into evaluation mode and let none of it be trained."""
    net.eval().requires_grad_(False)
