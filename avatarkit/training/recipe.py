"""What a stage needs and how it is put together: kind of data, checkpoints it builds on, nets, losses."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from avatarkit.checkpoint import Checkpoint
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import UsageError
from avatarkit.nets.blocks import set_checkpointing
from avatarkit.nets.count import NetCount
from avatarkit.nets.plain import to_plain
from avatarkit.training.config import TrainConfig
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Stage

Parents = Mapping[str, Checkpoint | None]
"""Checkpoints that a stage builds on, by option; None for an untrained net in its place (`--dry-run`)."""


@dataclass(frozen=True)
class Parent:
    """A checkpoint that a stage builds on.

    stage: that made it. nets: which of its nets must draw pictures of the size that the preset's do.
    built_on: options whose checkpoints it must have been trained on itself.
    """

    stage: str
    required: bool
    nets: tuple[str, ...] = ()
    built_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ingredients:
    """What a stage is built from, all of it checked. frozen: what `Recipe.frozen` opened.

    begins: False where a checkpoint brings the stage's tensors at once, and what the data say need not be found again.
    """

    parents: Parents
    data: TrainData
    frozen: Any = None
    begins: bool = True


def _nothing_frozen(config: Any, parents: Parents, blank: bool) -> None:
    return None


def _nothing_missing(config: Any, given: Iterable[str]) -> tuple[str, ...]:
    return ()


def _no_options(config: Any, options: Mapping[str, str], data: TrainData | None) -> Any:
    return config


@dataclass(frozen=True)
class Recipe:
    """How a stage is made.

    stage: its name. presets: its training, by the presets' names. sample: what it reads; or a function to it from the
    configuration and the checkpoints built upon.
    net_configs: from a preset's name, each trained net's configuration, a dataclass; checkpoints keep it.
    size_px: from a preset's name, side of the pictures that it takes.
    count: from a preset's name, what it trains and with which discriminator, for `--dry-run`.
    build: the stage, from its configuration and what it is built from.
    frozen: the nets that its losses look through, opened before the first step; untrained where `blank`.
    missing: what the training would stop for, from the configuration and the options given.
    with_options: the configuration with the stage's own options; no data with `--dry-run`.
    parents: by option of the command line.
    """

    stage: str
    presets: Mapping[str, TrainConfig]
    sample: SampleSpec | Callable[[Any, Parents], SampleSpec]
    net_configs: Callable[[str], Mapping[str, Any]]
    size_px: Callable[[str], int]
    count: Callable[[str], Iterable[NetCount]]
    build: Callable[[Any, Ingredients], Stage]
    frozen: Callable[[Any, Parents, bool], Any] = _nothing_frozen
    missing: Callable[[Any, Iterable[str]], tuple[str, ...]] = _nothing_missing
    with_options: Callable[[Any, Mapping[str, str], TrainData | None], Any] = _no_options
    parents: Mapping[str, Parent] = field(default_factory=dict)

    def preset(self, name: str) -> TrainConfig:
        """The configuration of a preset; UsageError, with the nearest name, where there is none."""
        if name not in self.presets:
            near = difflib.get_close_matches(name, list(self.presets), n=1, cutoff=0.3)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"--preset {name}: there is no such preset; {hint}they are {', '.join(self.presets)}")
        return replace(self.presets[name], stage=self.stage, preset=name)

    def sample_of(self, config: Any, parents: Parents) -> SampleSpec:
        """What a training with this configuration, built upon these checkpoints, reads."""
        return self.sample if isinstance(self.sample, SampleSpec) else self.sample(config, parents)

    def make(self, config: Any, given: Ingredients) -> Stage:
        """The stage, ready to be trained."""
        stage = self.build(config, given)
        set_checkpointing(stage.nets, config.checkpointing)
        return stage

    def describe(self, preset: str, stage: Stage) -> dict[str, Any]:
        """Each trained net's whole configuration and number of parameters: a checkpoint rebuilds its nets from them.

        A net that builds on a parent's may differ from the preset's; its own `config` tells.
        """
        return {
            name: {
                "config": to_plain(getattr(stage.nets[name], "config", config)),
                "parameters": sum(parameter.numel() for parameter in stage.nets[name].parameters()),
            }
            for name, config in self.net_configs(preset).items()
        }
