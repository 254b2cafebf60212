"""Stages with the real networks of `tiny-64` on drawn heads; child processes import this too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic_heads import photo_data, video_data

from avatarkit.checkpoint import list_checkpoints, open_checkpoint
from avatarkit.runtime import NullProgress
from avatarkit.systems import registry
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.training.config import TrainConfig
from avatarkit.training.hardware import open_accelerator
from avatarkit.training.loop import Origin, RunOptions, Trainer
from avatarkit.training.recipe import Ingredients, Parents
from avatarkit.training.resolve import resolve
from avatarkit.training.sources import TrainData

QUIET = ("pictures_every=0", "validate_every=0", "milestone_every=0", "checkpoint_every=0", "batch=2", "steps=4")


def configured(stage: str, *sets: str) -> TrainConfig:
    """The tiny preset for a few steps."""
    quiet = (*QUIET, "track=false", "loss.cycle=1", "cycle_from=0", "cycle_ramp=0") if stage == "base" else QUIET
    config = resolve(registry.recipe(stage).preset("tiny-64"), None, [*quiet, *sets])
    return replace(config, avatars=("clip-0", "clip-1")) if stage == "student" else config  # type: ignore[call-arg]


def stage_trainer(
    out: Path,
    config: TrainConfig,
    stop: int | None = None,
    data: TrainData | None = None,
    parents: Parents | None = None,
) -> Trainer:
    """A trainer at the beginning, or where the run in `out` stands."""
    data = data or (photo_data() if config.stage == "enhancer" else video_data())
    accelerator = open_accelerator("cpu", config)
    stage = registry.recipe(config.stage).make(config, Ingredients(parents or {}, data, Perceptual({})))
    origin = Origin(registry.recipe(config.stage).describe(config.preset, stage), {}, {}, {})
    found = Trainer(stage, config, data, origin, accelerator, RunOptions(out, stop_at_step=stop), NullProgress())
    if list_checkpoints(out):
        found.restore(open_checkpoint(out))
    return found


def train_stage(out: Path, config: TrainConfig, stop: int) -> Trainer:
    """Train so many steps in all."""
    trainer = stage_trainer(out, config, stop)
    trainer.run()
    return trainer
