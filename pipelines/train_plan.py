"""What a training would be: networks, memory and schedule, without data, checkpoints or weights of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from avatarkit.nets.count import parameters_of
from avatarkit.nets.features.open import FEATURE_NETS
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.pipelines.train import TrainJob, configured
from avatarkit.systems.megaportraits.config import PRESETS, Preset
from avatarkit.systems.megaportraits.count import count_base, count_preset
from avatarkit.systems.megaportraits.gaze import GazeNet
from avatarkit.systems.megaportraits.gaze_features import GazeFeatures
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.systems.megaportraits.stages.recipes import RECIPES, Ingredients, Recipe
from avatarkit.training.config import StudentTrain, TrainConfig
from avatarkit.training.estimate import MemoryEstimate, estimate_step
from avatarkit.training.feed import Samples, fixed_batches
from avatarkit.training.open_data import DEFAULT_AVATARS, read_avatars
from avatarkit.training.resolve import CHOSEN_ELSEWHERE, flat
from avatarkit.training.schedule import learning_rate
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Stage
from avatarkit.weights.load import present

GIB = 2**30
_COUNTED = {
    "base": ("D, base",),
    "enhancer": ("G_enh", "D, enhancer"),
    "student": ("G_DT", "G_DT, per avatar", "D, student"),
    "gaze": ("gaze and blink",),
    "pose": ("E_mtn, pose",),
}
"""Nets of each stage as `avatarkit.systems.megaportraits.count` names them; the base model's own come first."""
Row = tuple[str, ...]


@dataclass(frozen=True)
class NetRow:
    """One part of a net: parameters, and GFLOP (2 per multiply-add) of one forward pass of one sample."""

    name: str
    parameters: int
    gflop: float
    often: str


@dataclass(frozen=True)
class TrainPlan:
    """What `--dry-run` shows. at_once: samples of one pass of one process."""

    config: TrainConfig
    nets: tuple[NetRow, ...]
    memory: MemoryEstimate
    at_once: int
    missing: tuple[str, ...]

    def tables(self) -> list[list[Row]]:
        """Aligned columns: networks, memory, schedule, all keys, and what is not here yet."""
        config, memory = self.config, self.memory
        nets: list[Row] = [("network", "parameters", "GFLOP", "for each")]
        for net in self.nets:
            digits = 1 if net.gflop >= 1 else 3
            nets.append((net.name, f"{net.parameters / 1e6:.2f} M", f"{net.gflop:.{digits}f}", net.often))
        needs: list[Row] = [
            ("memory of one process", "GiB"),
            ("weights and averages", f"{memory.weights / GIB:.2f}"),
            ("gradients and optimiser", f"{memory.states / GIB:.2f}"),
            *([("encoded avatars", f"{memory.once / GIB:.2f}")] if memory.once else []),
            (f"activations of {self.at_once} samples", f"{memory.activations / GIB:.2f}"),
            ("together, at least", f"{memory.total / GIB:.2f}"),
        ]
        samples = f"{config.steps} steps of {config.batch} samples, {config.steps * config.batch} in all"
        schedule: list[Row] = [("schedule", samples)]
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            rate = learning_rate(int(share * (config.steps - 1)), config.steps, config.optim)
            schedule.append((f"learning rate at {share:.0%}", f"{rate:.2e}"))
        told = [(key, str(value)) for key, value in flat(asdict(config)).items() if key not in CHOSEN_ELSEWHERE]
        found: list[list[Row]] = [nets, needs, schedule, [("key", "value"), *told]]
        if self.missing:
            found.append([("needed, and not here:",), *((text,) for text in self.missing)])
        return found


def plan(job: TrainJob) -> TrainPlan:
    """Work out a training; UsageError and InputError as `configured`."""
    recipe, config = RECIPES[job.stage], configured(job)
    # Augmentation keeps nothing for the backward pass.
    config = replace(config, augment=False)
    if isinstance(config, StudentTrain):
        config = replace(config, avatars=_avatars(job, config))
    blank = _blank_data(recipe, config)
    at_once = max(1, config.batch // config.accumulation)
    batch = next(iter(fixed_batches(blank.train, 1, 1)))
    # Tensors that have shapes and no numbers: nothing is computed, and no memory is taken.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        stage = recipe.make(config, Ingredients(dict.fromkeys(job.parents), blank, _perceptual(config))).train()
        assert isinstance(stage, Stage)
        sample = _without_numbers(batch, mode)
        step = estimate_step(stage, config, sample, at_once)
        frozen = tuple(_frozen_rows(stage, step.frozen_flops))
    nets = (*_net_rows(job.stage, PRESETS[config.preset]), *frozen)
    return TrainPlan(configured(job), nets, step.memory, at_once, _missing(job, config))


def _without_numbers(batch: Mapping[str, Any], mode: FakeTensorMode) -> dict[str, Any]:
    """The batch as shapes; clips' numbers stay, since stages read them."""
    found: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            found[key] = _without_numbers(value, mode)
        elif isinstance(value, torch.Tensor) and key not in ("clip", "other_clip"):
            found[key] = mode.from_tensor(value)
        else:
            found[key] = value
    return found


def _net_rows(stage: str, preset: Preset) -> Iterator[NetRow]:
    """The trained nets by the paper's names, then the discriminator."""
    counted = count_base(preset) if stage == "base" else ()
    others = {found.net: found for found in count_preset(preset)}
    for found in (*counted, *(others[name] for name in _COUNTED[stage])):
        yield NetRow(found.net, found.parameters, found.flops / 1e9, found.runs)


def _frozen_rows(stage: Stage, flops: Mapping[str, int]) -> Iterator[NetRow]:
    for name, count in flops.items():
        yield NetRow(f"{name} (frozen)", parameters_of(stage.get_submodule(name)), count / 1e9, "training sample")


def _avatars(job: TrainJob, config: StudentTrain) -> tuple[str, ...]:
    """As many names as the training would have avatars, if its data has people enough."""
    asked = read_avatars(job.avatars) if job.avatars is not None else config.avatars or DEFAULT_AVATARS
    return asked if isinstance(asked, tuple) else tuple(f"avatar-{number}" for number in range(asked))


def _perceptual(config: TrainConfig) -> Perceptual:
    """The nets of the losses that have weights, untrained."""
    nets: dict[str, VGGFeatures] = {
        name: kind() for name, kind in FEATURE_NETS.items() if config.weights.get(name)
    }
    gaze = PRESETS[config.preset].gaze
    if config.weights.get("gaze"):
        nets["gaze"] = GazeFeatures(GazeNet(gaze).trunk)
    return Perceptual(nets, gaze.eye_size)


class _Blank:
    """Samples without content, all of one kind and size."""

    def __init__(self, kind: str, size: int) -> None:
        self._kind, self._size = kind, size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        frame = _blank_frame(self._size)
        if self._kind == "photos":
            return {**frame, "partner": frame}
        pairs = dict.fromkeys(("source", "driver", "other_source", "other_driver"), frame)
        return {**pairs, "clip": torch.tensor(0), "other_clip": torch.tensor(1)}


def _blank_frame(size: int) -> dict[str, torch.Tensor]:
    return {
        "image": torch.zeros(3, size, size, dtype=torch.uint8),
        "matte": torch.zeros(1, size, size, dtype=torch.uint8),
        "landmarks": torch.rand(478, 3, generator=torch.Generator().manual_seed(0)) * size,
        "head": torch.eye(4),
        "gaze": torch.zeros(2, 2),
        "eye_opening": torch.zeros(2),
        "mouth_opening": torch.zeros(()),
    }


def _blank_data(recipe: Recipe, config: TrainConfig) -> TrainData:
    size = recipe.needed_px(config.preset)
    samples: Samples = _Blank(recipe.kind, size)
    avatars = config.avatars if isinstance(config, StudentTrain) else ()
    return TrainData(
        recipe.kind,
        size,
        "",
        samples,
        clips=tuple((clip, clip) for clip in (*avatars, "a", "b")),
        first_frame=lambda clip: _blank_frame(size),
    )


def _missing(job: TrainJob, config: TrainConfig) -> tuple[str, ...]:
    """What the training itself would stop for."""
    parents = RECIPES[job.stage].parents
    found = [
        f"--{option} CHECKPOINT" for option, parent in parents.items() if parent.required and option not in job.parents
    ]
    if config.weights.get("gaze") and "gaze" not in job.parents:
        found.append("--gaze CHECKPOINT, or --set loss.gaze=0")
    for name in FEATURE_NETS:
        if config.weights.get(name) and not present(name):
            found.append(f"weights: avatarkit weights fetch {name}, or --set loss.{name}=0")
    return tuple(found)
