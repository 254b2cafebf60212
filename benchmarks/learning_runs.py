"""Short trainings on a few clips, for the proofs that the networks learn."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tables import Row, Verdict, markdown, verdict_table
from torch.utils.data import default_collate

from avatarkit.checkpoint import Checkpoint, list_checkpoints, open_checkpoint
from avatarkit.data.pairs import PairDataset, PhotoDataset
from avatarkit.systems import registry
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.training.config import TrainConfig
from avatarkit.training.feed import Samples
from avatarkit.training.hardware import open_accelerator, to_device
from avatarkit.training.loop import Ended, Origin, RunOptions, Trainer
from avatarkit.training.recipe import Ingredients
from avatarkit.training.resolve import resolve
from avatarkit.training.seeds import derive
from avatarkit.training.sources import Frame, TrainData
from avatarkit.training.stage import Stage
from avatarkit.weights.load import load_into

Found = tuple[list[Row], list[Verdict]]
OPEN_ENDED = 10_000_000
"""Stands for the steps of a run that its time limits, until they are known."""
TIMED_STEPS = 12


@dataclass(frozen=True)
class Limits:
    """How long a run may take: steps, or minutes of wall time; and on how many threads of which device."""

    steps: int | None
    minutes: float | None
    threads: int
    device: str


class StderrProgress:
    """A line on stderr now and then."""

    def __init__(self, every: int = 2000) -> None:
        self._every, self._count, self._name = every, 0, ""

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Begin to count anew."""
        self._name, self._count = name, 0

    def advance(self, count: int = 1) -> None:
        """Count samples."""
        before, self._count = self._count, self._count + count
        if before // self._every != self._count // self._every:
            print(f"{self._name}: {self._count} images", file=sys.stderr, flush=True)

    def notice(self, text: str) -> None:
        """Pass on."""
        print(f"note: {text}", file=sys.stderr, flush=True)


class ClipPairs:
    """Pairs of frames of a few clips, kept in memory; cross pairs come from the next clip of another person.

    Args:
        dataset: that holds the clips. clips: ids. seed: of the choice of frames. change: done to each frame.
        part: of each clip, from its beginning (0) to its end (1), that pairs are drawn from.
    """

    def __init__(
        self,
        dataset: PairDataset,
        clips: Sequence[str],
        seed: int,
        change: Callable[[Frame], Frame] | None = None,
        part: tuple[float, float] = (0, 1),
    ) -> None:
        infos = {clip.clip_id: clip for clip in dataset.clips}
        self.clips = [infos[clip] for clip in clips]
        self.numbers = {clip.clip_id: number for number, clip in enumerate(dataset.clips)}
        self._dataset, self._seed = dataset, seed
        self._change, self._part = change or (lambda frame: frame), part
        self._frames: dict[tuple[int, int], Frame] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def frame(self, clip: int, index: int) -> Frame:
        """A frame of the clip at a place in `clips`."""
        key = (clip, index)
        if key not in self._frames:
            self._frames[key] = self._change(self._dataset.frame(self.clips[clip].clip_id, index))
        return self._frames[key]

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        clip = position % len(self.clips)
        others = [n for n, info in enumerate(self.clips) if info.identity != self.clips[clip].identity] or [clip]
        other = others[derive(self._seed, "other", position) % len(others)]
        result: dict[str, Any] = {}
        for prefix, number in (("", clip), ("other_", other)):
            first, stop = (int(place * self.clips[number].frames) for place in self._part)
            for name in ("source", "driver"):
                index = first + derive(self._seed, prefix + name, position) % (stop - first)
                result[prefix + name] = self.frame(number, index)
            result[f"{prefix}clip"] = torch.tensor(self.numbers[self.clips[number].clip_id])
        return result


def without_head_turn(frame: Frame) -> Frame:
    """The frame with an identity in place of its head transform: the rotation field is cut."""
    return {**frame, "head": torch.eye(4)}


def pick_clips(dataset: PairDataset, wanted: str) -> list[str]:
    """Clip ids: those named with commas between, or so many of the longest ones, of different people."""
    if not wanted.isdigit():
        return wanted.split(",")
    longest = sorted(dataset.clips, key=lambda clip: -clip.frames)
    first: dict[str, str] = {}
    for clip in longest:
        first.setdefault(clip.identity, clip.clip_id)
    return list(first.values())[: int(wanted)]


def clip_data(dataset: PairDataset, samples: Samples, size: int) -> TrainData:
    """The samples as a training reads them."""
    people = tuple((clip.clip_id, clip.identity) for clip in dataset.clips)
    return TrainData("videos", size, dataset.dataset.hash, samples, clips=people, first_frame=dataset.frame)


def photo_data(dataset: PhotoDataset, count: int, size: int) -> TrainData:
    """The first so many photos, again and again."""
    return TrainData("photos", size, dataset.dataset.hash, _First(dataset, count))


class _First:
    def __init__(self, samples: Samples, count: int) -> None:
        self._kept = [samples[position] for position in range(min(count, len(samples)))]

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        return self._kept[position % len(self._kept)]


def configured(stage: str, preset_name: str, sets: Sequence[str], limits: Limits) -> TrainConfig:
    """The preset for a short run: nothing but the losses changes what is learnt."""
    config = resolve(registry.recipe(stage).preset(preset_name), None, sets)
    quiet = replace(config, validate_every=0, milestone_every=0, keep=1)
    return replace(quiet, steps=limits.steps or (config.steps if limits.minutes is None else OPEN_ENDED))


def train_stage(
    config: TrainConfig,
    data: TrainData,
    out: Path,
    limits: Limits,
    parents: Mapping[str, Checkpoint] | None = None,
    start: Checkpoint | None = None,
    change: Callable[[Stage], None] | None = None,
) -> tuple[Trainer, Ended]:
    """Train, or go on where the run in `out` stands; `start` gives a new run its first weights, `change` alters them.

    Minutes become steps after a few of them were timed, so that the learning rate falls to its end.
    """
    torch.set_num_threads(limits.threads)
    out.mkdir(parents=True, exist_ok=True)
    if limits.minutes is not None and config.steps == OPEN_ENDED:
        pace_s = _known_pace_s(out) or _timed_pace_s(
            make_trainer(config, data, out, limits, parents, start, change, TIMED_STEPS), out
        )
        config = replace(config, steps=max(TIMED_STEPS + 1, int(60 * limits.minutes / pace_s)))
    trainer = make_trainer(config, data, out, limits, parents, start, change)
    ended = trainer.run()
    trainer.stage.eval()
    return trainer, ended


def make_trainer(
    config: TrainConfig,
    data: TrainData,
    out: Path,
    limits: Limits,
    parents: Mapping[str, Checkpoint] | None,
    start: Checkpoint | None,
    change: Callable[[Stage], None] | None = None,
    stop_at_step: int | None = None,
) -> Trainer:
    """A trainer at the beginning, or where the run in `out` stands."""
    accelerator = open_accelerator(limits.device, config)
    recipe, built_on = registry.recipe(config.stage), parents or {}
    stage = recipe.make(config, Ingredients(built_on, data, recipe.frozen(config, built_on, False)))
    if start is not None:
        for name, net in stage.nets.items():
            load_into(net, start.tensors(name), start.folder, f"net {name}")
    if change is not None:
        change(stage)
    origin = Origin(
        nets=recipe.describe(config.preset, stage),
        parents={name: parent.sha256 for name, parent in built_on.items()},
        dataset={"sha256": data.sha256},
        code={"torch": torch.__version__},
    )
    slack = None if limits.minutes is None else 1.5 * limits.minutes
    options = RunOptions(out, max_minutes=slack, stop_at_step=stop_at_step)
    trainer = Trainer(stage, config, data, origin, accelerator, options, StderrProgress())
    if list_checkpoints(out):
        trainer.restore(open_checkpoint(out))
    return trainer


def _known_pace_s(out: Path) -> float | None:
    """Seconds per step as an earlier call timed them."""
    path = out / "pace.json"
    return float(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _timed_pace_s(trainer: Trainer, out: Path) -> float:
    ended = trainer.run()
    pace_s = ended.seconds / max(ended.steps_here, 1)
    (out / "pace.json").write_text(json.dumps(pace_s), encoding="utf-8")
    return pace_s


def averaged(trainer: Trainer) -> torch.nn.ModuleDict:
    """The averaged nets, or the trained ones where no average is kept."""
    return trainer.stage.nets if trainer.ema is None else trainer.ema.nets


@torch.no_grad()
def measured(trainer: Trainer, samples: Sequence[Mapping[str, Any]], at_once: int = 8) -> dict[str, float]:
    """Means over samples of what the stage measures."""
    parts = []
    for first in range(0, len(samples), at_once):
        some = samples[first : first + at_once]
        batch = {**default_collate(list(some)), "positions": list(range(first, first + len(some)))}
        parts.append(trainer.stage.measure(to_device(batch, trainer.accelerator.device), averaged(trainer)))
    return {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}


def batch_of(trainer: Trainer, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Samples as a float batch on the training's device."""
    batch = {**default_collate(list(samples)), "positions": list(range(len(samples)))}
    return prepared(to_device(batch, trainer.accelerator.device))


def run_proof(proof: Callable[[argparse.Namespace], Found], options: argparse.Namespace) -> int:
    """Run it, print its table, and write WORK/PROOF.json; 1 with --check where a bar is missed, else 0."""
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    rows, verdicts = proof(options)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cpu_min = (time.process_time() - began) / 60
    reported = f"CPU time {cpu_min:.1f} min, {options.threads} threads, torch {torch.__version__}"
    print(f"## {options.proof}\n\n{verdict_table(verdicts)}\n\n{reported}\n\n{markdown(rows, columns)}")
    result = {"rows": [dict(row) for row in rows], "verdicts": [[str(v.bar), v.figure, v.word] for v in verdicts]}
    (options.work / f"{options.proof}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(options.check and any(verdict.word == "FAIL" for verdict in verdicts))
