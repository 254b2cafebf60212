"""Adapting a trained portrait to one person: the inner steps of meta-learning, as far as held-out frames gain by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.metaportrait.portrait import KnownIdentity, Portrait
from avatarkit.systems.metaportrait.stages.config import META, SMALL, MetaTrain, PortraitTrain
from avatarkit.systems.metaportrait.stages.frames import Frames, compared, drive, each, prepared
from avatarkit.systems.metaportrait.stages.meta import adaptable, inner_loss, inner_steps
from avatarkit.systems.metaportrait.stages.portrait import rated_groups
from avatarkit.training.config import TrainConfig, check
from avatarkit.training.resolve import from_mapping

__all__ = ["STAGES", "Adapted", "adapt", "inner_settings", "own_portrait", "pixels_alone"]

STAGES: Mapping[str, type[TrainConfig]] = {"metaportrait/meta": MetaTrain, "metaportrait/portrait": PortraitTrain}
"""Whose checkpoints are adapted, and how they were trained."""
LOOK_EVERY = 8
"""Steps between two looks at the held-out frames."""
PATIENCE = 5
LEAST_GAIN = 0.002
"""Learning stops after so many looks without this share less held-out error."""
LOOKED_AT_ONCE = 8


@dataclass(frozen=True)
class Adapted:
    """The best portrait. before, after: mean L1 in the face of held-out frames, of colours in [0, 1]. steps: taken."""

    portrait: Portrait
    before: float
    after: float
    steps: int


def inner_settings(checkpoint: Checkpoint) -> MetaTrain:
    """The inner steps that a portrait was meta-trained for; with another training's losses, the usual ones.

    Raises:
        InputError: a checkpoint of another stage, or a damaged one.
    """
    meta, folder = checkpoint.meta, checkpoint.folder
    if meta.stage not in STAGES:
        raise InputError(
            f"{folder}: is a checkpoint of train {meta.stage}; a person's portrait starts from one of"
            f" {' or '.join(STAGES)}"
        )
    try:
        config: TrainConfig = from_mapping(STAGES[meta.stage], meta.config, str(folder))
        check(config)
    except UsageError as error:
        raise InputError(f"{folder}: is damaged, or of another version: {error}") from error
    if isinstance(config, MetaTrain):
        return config
    shared = {"loss", "flow_rate", "squared_regions"}
    return MetaTrain(**{item.name: getattr(config, item.name) for item in fields(config) if item.name in shared})


def pixels_alone(config: MetaTrain) -> MetaTrain:
    """The same steps with losses that need nobody else's weights."""
    return replace(config, loss=META[SMALL].loss)


def adapt(
    portrait: Portrait,
    source: Frames,
    learned: Frames,
    held_out: Frames,
    config: MetaTrain,
    vgg: VGGFeatures | None,
    *,
    seed: int,
    go_on: Callable[[], bool],
) -> Adapted:
    """Inner steps on frames of one person, until held-out ones gain no more; the given portrait is left as it is.

    Args:
        portrait: without spectral norms. source: one frame. learned, held_out: of the same person, at least one each;
            all as batches have them, on the portrait's device. config: of the inner steps; their number is that of
            meta-training and no limit here. seed: of which frames a step sees. go_on: asked before each step.
    """
    made, source = adaptable(portrait), prepared(source)
    draw = torch.Generator().manual_seed(seed)
    before = error = _error(made, source, held_out)
    best = _kept(made)
    steps = worse = 0

    def look() -> None:
        nonlocal error, best, worse
        seen = _error(made, source, held_out)
        worse = 0 if seen < (1 - LEAST_GAIN) * error else worse + 1
        if seen < error:
            error, best = seen, _kept(made)

    def losses() -> Iterator[Callable[[], Tensor]]:
        nonlocal steps
        count = len(learned["image"])
        while worse < PATIENCE and go_on():
            driver = prepared(each(learned, torch.randperm(count, generator=draw)[: config.inner_batch]))
            yield lambda driver=driver: inner_loss(made, source, driver, vgg, config)  # type: ignore[misc]
            steps += 1
            if steps % LOOK_EVERY == 0:
                look()
        if steps % LOOK_EVERY:
            look()

    groups = rated_groups(made, config.flow_rate)
    inner_steps(made, groups, losses(), lr=config.inner_lr, kind=config.inner, clip=config.inner_clip)
    made.load_state_dict(best, strict=False)  # all but the recogniser, which the steps leave
    return Adapted(made.requires_grad_(False), before, error, steps)


@torch.no_grad()
def own_portrait(portrait: Portrait, source: Frames) -> Portrait:
    """The portrait for one source alone, in place: its identity vector stands in the recogniser's place."""
    shown = prepared(source)
    portrait.identity = KnownIdentity(portrait.identity(shown["image"], shown["landmarks"]))
    return portrait


@torch.no_grad()
def _error(portrait: Portrait, source: Frames, held_out: Frames) -> float:
    """Mean L1 in the face."""
    found = []
    for first in range(0, len(held_out["image"]), LOOKED_AT_ONCE):
        driver = prepared(each(held_out, slice(first, first + LOOKED_AT_ONCE)))
        drawn, _ = drive(portrait, source, driver)
        found.append(compared(drawn.image, driver)["face_l1"])
    return float(torch.cat(found).mean())


def _kept(portrait: Portrait) -> dict[str, Tensor]:
    """A copy of the trained weights."""
    values = portrait.state_dict()
    return {name: value.clone() for name, value in values.items() if not name.startswith("identity.")}
