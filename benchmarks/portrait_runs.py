"""Trainings of MetaPortrait's stages, as its proofs share them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from learning_runs import Limits, clip_data, configured
from learning_runs import train_stage as train_on

from avatarkit.checkpoint import Checkpoint, open_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.systems import registry
from avatarkit.training.loop import Trainer
from avatarkit.training.stage import Stage

NO_ADVERSARY = ("loss.adversarial=0", "loss.feature_matching=0")
UNSEEN = 1_000_000
"""From this position on samples are drawn that no training here comes to."""


def train_chain(
    options: argparse.Namespace,
    dataset: PairDataset,
    samples: Any,
    name: str,
    sets: Sequence[str] = (),
    *,
    flow: str = "",
    change: Callable[[Stage], None] | None = None,
) -> tuple[Trainer, Checkpoint]:
    """Flow, then portrait, each for the steps asked for.

    Args:
        flow: run of a flow that several share. change: of the portrait's first weights.
    """
    limits, data = limits_of(options), clip_data(dataset, samples, size_of(options))
    of_flow = [text for text in (*sets, *options.sets) if text.startswith(("augment", "optim", "batch", "pictures"))]
    config = configured("metaportrait/flow", options.preset, of_flow, limits)
    out = options.work / (flow or f"{name}-flow")
    train_stage(config, data, out, limits)
    config = configured("metaportrait/portrait", options.preset, [*NO_ADVERSARY, *sets, *options.sets], limits)
    parents = {"flow": open_checkpoint(out), **recogniser(options)}
    trainer, _ = train_stage(config, data, options.work / f"{name}-portrait", limits, parents, change=change)
    return trainer, open_checkpoint(options.work / f"{name}-portrait")


def recogniser(options: argparse.Namespace) -> dict[str, Checkpoint]:
    """As a parent of a portrait; without one it takes the registry's."""
    return {} if options.identity is None else {"identity": open_checkpoint(options.identity)}


def train_stage(*given: Any, **more: Any) -> tuple[Trainer, Any]:
    """As `learning_runs.train_stage`; a run that was asked to stop ends the proof, and the same command goes on."""
    trainer, ended = train_on(*given, **more)
    if ended.reason != "finished":
        sys.exit(f"{trainer.config.stage}: {ended.reason} at step {ended.step}; the same command goes on")
    return trainer, ended


def videos(
    options: argparse.Namespace,
    split: Any,
    lines: str = "contours",
    *,
    size: int = 0,
    shrink: int = 1,
    sources: int = 1,
    window: int = 1,
) -> PairDataset:
    """The dataset's pairs at the preset's size, or another."""
    sample = SampleSpec(other=False, lines=lines, lines_shrink=shrink, sources=sources, window=window)
    return PairDataset(options.data, split, options.seed, size or size_of(options), sample=sample)


def size_of(options: argparse.Namespace) -> int:
    """Pixels of the preset's frames."""
    return registry.recipe("metaportrait/flow").size_px(options.preset)


def limits_of(options: argparse.Namespace) -> Limits:
    """Steps of each run, on the CPU."""
    return Limits(options.steps, None, options.threads, "cpu")
