"""What a training would be: networks, memory and schedule, without data, checkpoints or weights of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from avatarkit.data.samples import SampleSpec
from avatarkit.errors import UsageError
from avatarkit.nets.count import parameters_of
from avatarkit.pipelines.train.run import TrainJob, configured
from avatarkit.systems import registry
from avatarkit.training.config import TrainConfig
from avatarkit.training.estimate import MemoryEstimate, estimate_step
from avatarkit.training.feed import fixed_batches
from avatarkit.training.recipe import Ingredients, Recipe
from avatarkit.training.resolve import CHOSEN_ELSEWHERE, flat
from avatarkit.training.schedule import learning_rate
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Stage

GIB = 2**30
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
        reported = [(key, str(value)) for key, value in flat(asdict(config)).items() if key not in CHOSEN_ELSEWHERE]
        result: list[list[Row]] = [nets, needs, schedule, [("key", "value"), *reported]]
        if self.missing:
            result.append([("needed, and not here:",), *((text,) for text in self.missing)])
        return result


def plan(job: TrainJob) -> TrainPlan:
    """Work out a training; UsageError and InputError as `configured`."""
    recipe, config = registry.recipe(job.stage), configured(job)
    # Augmentation keeps nothing for the backward pass.
    config = recipe.with_options(replace(config, augment=False), job.options, None)
    blank = _blank_data(recipe, config)
    shares = config.accumulation * job.processes
    if config.batch % shares:
        raise UsageError(
            f"batch={config.batch} does not divide by {job.processes} processes x accumulation={config.accumulation}:"
            f" set a multiple of {shares}"
        )
    at_once = config.batch // shares
    # A sample of the last step, in which all losses take part.
    batch = {**next(iter(fixed_batches(blank.train, 1, 1))), "positions": [config.steps * config.batch - 1]}
    # Tensors that have shapes and no numbers: nothing is computed, and no memory is taken.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        parents: dict[str, None] = dict.fromkeys(job.parents)
        stage = recipe.make(config, Ingredients(parents, blank, recipe.frozen(config, parents, True))).train()
        assert isinstance(stage, Stage)
        sample = _without_numbers(batch, mode)
        step = estimate_step(stage, config, sample, at_once)
        frozen = tuple(_frozen_rows(stage, step.frozen_flops))
    trained = (NetRow(net.net, net.parameters, net.flops / 1e9, net.runs) for net in recipe.count(config.preset))
    nets = (*trained, *frozen)
    return TrainPlan(configured(job), nets, step.memory, at_once, _missing(job, recipe, config))


def _without_numbers(batch: Mapping[str, Any], mode: FakeTensorMode) -> dict[str, Any]:
    """The batch as shapes; clips' numbers stay, since stages read them."""
    result: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            result[key] = _without_numbers(value, mode)
        elif isinstance(value, torch.Tensor) and key not in ("clip", "other_clip"):
            result[key] = mode.from_tensor(value)
        else:
            result[key] = value
    return result


def _frozen_rows(stage: Stage, flops: Mapping[str, int]) -> Iterator[NetRow]:
    for name, count in flops.items():
        yield NetRow(f"{name} (frozen)", parameters_of(stage.get_submodule(name)), count / 1e9, "training sample")


class _Blank:
    """Samples without content, of the recipe's kind and the preset's size."""

    def __init__(self, sample: SampleSpec, size: int) -> None:
        self._sample, self._size = sample, size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        frame = _blank_frame(self._size)
        if self._sample.lines:
            side = self._size // self._sample.lines_shrink
            frame["lines"] = torch.zeros(2, 3, side, side, dtype=torch.uint8)
        if self._sample.kind == "photos":
            return {**frame, "partner": frame}
        pair = {"source": _stacked(frame, self._sample.sources), "driver": _stacked(frame, self._sample.window)}
        others = {f"other_{name}": value for name, value in pair.items()}
        return {**pair, **others, "clip": torch.tensor(0), "other_clip": torch.tensor(1)}


def _stacked(frame: Mapping[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    return dict(frame) if count == 1 else {key: torch.stack([value] * count) for key, value in frame.items()}


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
    size, sample = recipe.size_px(config.preset), recipe.sample_of(config, {})
    avatars: tuple[str, ...] = getattr(config, "avatars", ())
    return TrainData(
        sample.kind,
        size,
        "",
        _Blank(sample, size),
        clips=tuple((clip, clip) for clip in (*avatars, "a", "b")),
        first_frame=lambda clip: _blank_frame(size),
    )


def _missing(job: TrainJob, recipe: Recipe, config: TrainConfig) -> tuple[str, ...]:
    """What the training itself would stop for."""
    parents = (
        f"--{option} CHECKPOINT"
        for option, parent in recipe.parents.items()
        if parent.required and option not in job.parents
    )
    return (*parents, *recipe.missing(config, job.parents))
