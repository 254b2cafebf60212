"""Meta-learning: weights from which a few steps on one person's frames go far (Reptile).

Each outer step takes M people; for each, K inner steps start at phi and end at phi^K, and phi moves towards their mean:

    phi <- phi + (b / M) sum_j (phi_j^K - phi)

The paper prints a minus there (equation 9, algorithm 1), which moves away from the adapted weights and diverges. Here
the stage returns a loss whose gradient is phi - phi^K: the loop's optimiser, accumulation and processes do the rest.
A. Nichol et al., "On First-Order Meta-Learning Algorithms", arXiv:1803.02999.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages.config import MetaTrain, PortraitLoss
from avatarkit.systems.metaportrait.stages.frames import Frames, compared, drawn_terms, drive, each, look
from avatarkit.systems.metaportrait.stages.portrait import portrait_of, portrait_pictures, rated_groups
from avatarkit.training.stage import Batch, Columns, Outcome, Stage, Steps

Net = TypeVar("Net", bound=nn.Module)
Groups = Iterable[dict[str, Any]]


def reptile_term(net: nn.Module, adapted: nn.Module) -> Tensor:
    """A scalar whose gradient for each trained weight of `net` is that weight less the adapted net's."""
    pairs = zip(net.parameters(), adapted.parameters(), strict=True)
    parts = [(own * (own - other).detach()).sum() for own, other in pairs if own.requires_grad]
    return torch.stack(parts).sum()


def inner_steps(
    net: nn.Module,
    groups: Groups,
    losses: Iterable[Callable[[], Tensor]],
    *,
    lr: float,
    kind: str = "adam",
    clip: float = 0.0,
) -> list[Tensor]:
    """Train a net in place, one step for each loss; returns the losses before their steps.

    Args:
        groups: of its parameters; "lr_scale" multiplies the rate. kind: "adam" or "sgd". clip: greatest norm of the
            gradient, which is no number where something went wrong and then counts as 0; 0 leaves it.
    """
    groups = [{**group, "lr": lr * group.get("lr_scale", 1.0)} for group in groups]
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adam(groups, betas=(0.5, 0.999)) if kind == "adam" else torch.optim.SGD(groups)
    )
    trained = [weight for group in groups for weight in group["params"]]
    seen = []
    with torch.enable_grad():
        for loss_of in losses:
            loss = loss_of()
            gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
            for weight, gradient in zip(trained, gradients, strict=True):
                weight.grad = torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
            if clip:
                torch.nn.utils.clip_grad_norm_(trained, clip)
            optimiser.step()
            seen.append(loss.detach())
    optimiser.zero_grad(set_to_none=True)
    return seen


def inner_loss(
    portrait: Portrait, source: Frames, driver: Frames, vgg: VGGFeatures | None, config: MetaTrain
) -> Tensor:
    """The loss of an inner step: a source drawn with drivers of the same person."""
    _, terms = drawn_terms(portrait, source, driver, vgg, config.loss, squared=config.squared_regions)
    return weighted(terms, config.loss)


def adaptable(portrait: Portrait) -> Portrait:
    """A copy of the trained parts; the recogniser is shared."""
    made = copy.deepcopy(portrait, {id(portrait.identity): portrait.identity})
    for name in ("flow", "source_encoder", "generator"):
        getattr(made, name).requires_grad_(True)
    return made


class MetaStage(Stage):
    """Trains all networks of a frame to be adapted quickly.

    A sample is one person: the first frame is the source, the others drivers, of which the last is for measuring.

    Args:
        config: of the training. portrait: the nets, without spectral norms. vgg: frozen, or None.
    """

    def __init__(self, config: MetaTrain, portrait: Portrait, vgg: VGGFeatures | None) -> None:
        super().__init__({"portrait": portrait})
        self.vgg = vgg
        self._config = config
        self._inner: list[list[Tensor]] = []

    def compiled_parts(self) -> list[nn.Module]:
        """None: what runs are copies, of each person anew."""
        return []

    def forward(self, batch: Batch) -> Outcome:
        """The outer step's loss over the people of a batch."""
        config, portrait = self._config, portrait_of(self.nets)
        frames = look(batch, config.seed if config.augment else None)["source"]
        terms = []
        for first, count in people(batch):
            adapted = adaptable(portrait)
            self._inner.append(self.adapt(adapted, each(frames, slice(first, first + count - 1))))
            terms.append(reptile_term(portrait, adapted))
        return {"terms": {"reptile": torch.stack(terms).mean()}, "fakes": {}}

    def take_step(self, steps: Steps) -> dict[str, Tensor]:
        """As always; beside the outer loss, whose value says little, come the inner losses."""
        self._inner.clear()
        figures = steps.plain_step()
        first, last = (torch.stack([one[place] for one in self._inner]).mean() for place in (0, -1))
        return {**figures, "inner_first": first, "inner_last": last}

    def adapt(self, portrait: Portrait, frames: Frames) -> list[Tensor]:
        """The K inner steps in place, on frames of one person: the source, then drivers, used in turn."""
        config = self._config
        drivers = len(frames["image"]) - 1

        def losses() -> Iterable[Callable[[], Tensor]]:
            for step in range(config.inner_steps):
                chosen = [1 + (step * config.inner_batch + number) % drivers for number in range(config.inner_batch)]
                yield lambda chosen=chosen: self._loss(portrait, frames, chosen)  # type: ignore[misc]

        groups = rated_groups(portrait, config.flow_rate)
        return inner_steps(
            portrait, groups, losses(), lr=config.inner_lr, kind=config.inner, clip=config.inner_clip
        )

    def _loss(self, portrait: Portrait, frames: Frames, chosen: list[int]) -> Tensor:
        return inner_loss(portrait, each(frames, [0]), each(frames, chosen), self.vgg, self._config)

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """The held-out frame before and after the inner steps."""
        frames = look(batch, None)["source"]
        columns: list[Columns] = []
        for first, count in people(batch):
            source, held = each(frames, slice(first, first + 1)), each(frames, slice(first + count - 1, first + count))
            adapted = adaptable(portrait_of(nets))
            self.adapt(adapted, each(frames, slice(first, first + count - 1)))
            before = portrait_pictures(portrait_of(nets), source, held)
            driven, _ = drive(adapted, source, held)
            columns.append({**before, "adapted": (driven.image * driven.matte).detach()})
        return {title: torch.cat([one[title] for one in columns]) for title in columns[0]}

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """The held-out frame before and after the inner steps."""
        frames = look(batch, None)["source"]
        rows = []
        for first, count in people(batch):
            source, held = each(frames, slice(first, first + 1)), each(frames, slice(first + count - 1, first + count))
            adapted = adaptable(portrait_of(nets))
            self.adapt(adapted, each(frames, slice(first, first + count - 1)))
            with torch.no_grad():
                before = compared(drive(portrait_of(nets), source, held)[0].image, held)
                after = compared(drive(adapted, source, held)[0].image, held)
            rows.append({**before, **{f"adapted_{name}": value for name, value in after.items()}})
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def people(batch: Batch) -> Iterable[tuple[int, int]]:
    """First frame and number of frames of each person of a batch, once its stacks lie behind one another."""
    samples, frames = batch["source"]["image"].shape[:2]
    return [(sample * frames, frames) for sample in range(samples)]


def weighted(terms: dict[str, Tensor], loss: PortraitLoss) -> Tensor:
    """The sum of the terms by their weights."""
    return torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
