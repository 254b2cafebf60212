"""One step of learning after another: losses, discriminator, averaged weights; its state can be kept and taken up."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avatarkit.devices import bfloat16_is_faster
from avatarkit.errors import InputError
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.nets.convs import advance_norms
from avatarkit.nets.discriminator import Discriminator, DiscriminatorConfig
from avatarkit.systems.refined_warp.batch import Batch, Refined, jitter, noise, refine
from avatarkit.systems.refined_warp.losses import Perceptual, RefinementLosses, calm_loss, part_losses
from avatarkit.systems.refined_warp.network import Refinement
from avatarkit.training.state import pack, unpack
from avatarkit.weights.load import load_into

__all__ = ["Learner"]

RATE, DISCRIMINATOR_RATE = 1e-3, 2e-4
WARM_STEPS = 40
"""Over so many steps the rate rises."""
ADVERSARIAL_FROM, ADVERSARIAL_WHOLE = 0.25, 0.4
"""The discriminator joins after this share of the time: before, it would learn to tell a blur. What it says counts more
and more until the second share: at first it knows nothing, and once spoiled eyes that were learned well."""
ADVERSARIAL_EVERY = 2
CLIP = 1.0
AVERAGED = 0.985
_GENERATOR = "generator"

Tensors = dict[str, Tensor]


class Learner:
    """Teaches a refinement.

    Args:
        net: on its device. perceptual: see `losses.Perceptual`. seed: of everything that is drawn by lot.

    Attributes:
        averaged: the network to use, its weights averaged over the last steps.
    """

    def __init__(
        self, net: Refinement, perceptual: Perceptual, weights: RefinementLosses | None = None, *, seed: int = 0
    ) -> None:
        self.net, self.averaged = net, copy.deepcopy(net).requires_grad_(False)
        self.steps = 0
        self._half = bfloat16_is_faster()
        net.to(memory_format=torch.channels_last)
        self._perceptual, self._weights = perceptual, weights or RefinementLosses()
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.5, 0.99))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            judge = Discriminator(DiscriminatorConfig(scales=1, widths=(32, 64, 128)))
        self._adversarial = AdversarialLoss(judge, OptimiserConfig(lr=DISCRIMINATOR_RATE))

    def draw(self, weights: Tensor, size: int) -> Tensor:
        """Numbers (size,) of the next batch, each as often as its weight (N,) says."""
        return torch.multinomial(weights, size, replacement=True, generator=self._generator)

    def step(self, batch: Batch, share: float) -> dict[str, float]:
        """Learn from a batch of pairs of moments that follow each other, see `losses.calm_loss`; losses by name.

        Args:
            batch: of an even size. share: of the training that is over, which sets the rate.
        """
        rate = RATE * min(1.0, (self.steps + 1) / WARM_STEPS) * max(1.0 - share, 0.02) ** 0.7
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        count = len(batch.poses)
        # The patches of a pair are moved alike, so that its moments can be compared; a tracker errs in each anew.
        moves, errors = jitter(count // 2, self._generator), noise(count, self._generator)
        moves = moves.repeat_interleave(2, dim=0)
        refined = refine(self.net, batch, moves, errors, half=self._half)
        weights = self._weights
        terms = {**part_losses(refined, self._judge), "calm": calm_loss(refined)}
        losses = {name: getattr(weights, name) * term for name, term in terms.items()}
        if share >= ADVERSARIAL_FROM and self.steps % ADVERSARIAL_EVERY == 0 and self._weights.adversarial > 0:
            with self._brief():
                counts = min(1.0, (share - ADVERSARIAL_FROM) / (ADVERSARIAL_WHOLE - ADVERSARIAL_FROM))
                losses["adversarial"] = counts * self._judged(refined).float()
        self._optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        self._optimiser.step()
        self.steps += 1
        # Young averages forget their beginning.
        kept = min(AVERAGED, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, new in zip(self.averaged.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(new, 1.0 - kept)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _judge(self, result: Tensor, truth: Tensor) -> Tensor:
        with self._brief():
            return self._perceptual(result, truth).float()

    def _brief(self) -> torch.autocast:
        """Within it convolutions are in bfloat16, where the processor is faster with it."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self._half)

    def _judged(self, refined: Refined) -> Tensor:
        """The generator's loss on mouth and eyes; the discriminator learns from the same."""
        eyes = ("right_eye", "left_eye")
        pairs = [(refined.result["mouth"], refined.truth["mouth"])]
        pairs.append(tuple(torch.cat([side[eye] for eye in eyes]) for side in (refined.result, refined.truth)))  # type: ignore[arg-type]
        total = refined.result["mouth"].new_zeros(())
        self._adversarial.optimiser.zero_grad()
        advance_norms(self._adversarial.discriminator)
        for result, truth in pairs:
            losses = self._adversarial.loss(result, truth)
            total = total + self._weights.adversarial * losses["adversarial"]
            total = total + self._weights.matching * losses["feature_matching"]
            self._adversarial.teach(result, truth)
        self._adversarial.optimiser.step()
        return total

    @property
    def _nets(self) -> dict[str, torch.nn.Module]:
        return {"net": self.net, "averaged": self.averaged, "discriminator": self._adversarial.discriminator}

    @property
    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"net": self._optimiser, "discriminator": self._adversarial.optimiser}

    def state(self) -> tuple[dict[str, Tensors], Tensors, dict[str, Any]]:
        """All that a later `restore` needs: tensors of each network, those of the training, and its plain values."""
        tensors, plain = pack(self._optimisers)
        nets = {name: dict(net.state_dict()) for name, net in self._nets.items()}
        tensors[_GENERATOR] = self._generator.get_state()
        return nets, tensors, {"steps": self.steps, "optimisers": plain}

    def restore(
        self, nets: Mapping[str, Tensors], tensors: Mapping[str, Tensor], plain: Mapping[str, Any], where: object
    ) -> None:
        """Go on from a `state`; InputError, with `where` it is from, if it is no such learner's."""
        for name, net in self._nets.items():
            load_into(net, nets[name], str(where), name).train()
        try:
            self.steps, optimisers = int(plain["steps"]), plain["optimisers"]
            self._generator.set_state(tensors[_GENERATOR])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{where}: is no state of this learning: {error}") from error
        rest = {name: tensor for name, tensor in tensors.items() if name != _GENERATOR}
        unpack(self._optimisers, rest, optimisers, where)
