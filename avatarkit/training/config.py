"""Configuration of a training as frozen dataclasses, and which values make sense.

Each stage has a class of its own, so that a loss that the stage does not have is an unknown key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from avatarkit.errors import UsageError
from avatarkit.losses.cycle import CycleForm

PRECISIONS = ("fp32", "bf16")
SCHEDULES = ("cosine", "one-cycle")
CYCLE_FORMS: tuple[str, ...] = get_args(CycleForm)
CYCLE_TRAINS = ("all", "encoder")
LARGEST_BATCH = 1 << 16
LARGEST_COUNT = 10**12
"""Of steps, samples and the seed; larger numbers are slips of the pen."""
LARGEST_NUMBER = 1e6
"""Of all numbers that are no counts; single precision overflows far beyond."""
SMALLEST_EPS = 1e-20
"""Single precision takes much smaller ones for 0, by which AdamW would divide."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW and its learning rate; the defaults are the paper's (facts of the method, section "Training").

    lr: highest learning rate.            lr_end: the last step's.
    schedule: "cosine" falls from the first step; "one-cycle" rises for `rise` of all steps, then falls.
    clip_norm: gradients of the trained nets are scaled down to this L2 norm; 0 leaves them.
    """

    lr: float = 2e-4
    lr_end: float = 1e-6
    schedule: str = "cosine"
    rise: float = 0.1
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    clip_norm: float = 10.0


@dataclass(frozen=True)
class BaseLoss:
    """Weights of the base model's losses; the defaults are the paper's. 0 leaves a loss out.

    pixel: L1 with multi-scale gradients, for trainings without perceptual weights (not in the paper).
    """

    vgg19: float = 20.0
    vggface: float = 4.0
    gaze: float = 5.0
    adversarial: float = 1.0
    feature_matching: float = 40.0
    cycle: float = 2.0
    pixel: float = 0.0


@dataclass(frozen=True)
class EnhancerLoss:
    """Weights of the enhancer's losses; the defaults are the paper's.

    l1, adversarial, feature_matching: of the supervised group. cross_adversarial, downsampled: of the pairs
    of two photos, for which no target exists.
    """

    l1: float = 100.0
    adversarial: float = 1.0
    feature_matching: float = 100.0
    cross_adversarial: float = 1.0
    downsampled: float = 10.0


@dataclass(frozen=True)
class StudentLoss:
    """Weights of the student's losses; as the base model's where the paper names none (choice)."""

    vgg19: float = 20.0
    vggface: float = 4.0
    gaze: float = 5.0
    adversarial: float = 1.0
    feature_matching: float = 0.0
    pixel: float = 0.0


@dataclass(frozen=True)
class GazeLoss:
    """Weights of mean absolute and mean squared error, for gaze and lids alike (the paper's)."""

    mae: float = 15.0
    mse: float = 10.0


@dataclass(frozen=True)
class PoseLoss:
    """Weights of the errors of the rotation (matrix), the translation (half pictures) and log scale (choice)."""

    rotation: float = 1.0
    translation: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """What all stages share.

    steps: optimiser steps in all.        batch: samples of one step, over all processes and passes.
    accumulation: passes that share a step; the batch divides by it and by the number of processes.
    precision: "fp32" or "bf16" (autocast; weights and optimiser stay float32).
    checkpointing: compute activations again when gradients need them: less memory, about a third more time.
    ema: decay of the averaged weights per step; 0 keeps no average.
    *_every: in samples seen (log_every in steps); 0 never.
    keep: newest checkpoints kept; those at multiples of milestone_every samples stay for good.
    validation_samples: fixed samples that validation measures.
    """

    stage: str = ""
    preset: str = ""
    steps: int = 300_000
    batch: int = 16
    accumulation: int = 1
    precision: str = "bf16"
    checkpointing: bool = False
    seed: int = 0
    ema: float = 0.999
    augment: bool = True
    log_every: int = 20
    pictures_every: int = 16_000
    checkpoint_every: int = 16_000
    milestone_every: int = 800_000
    validate_every: int = 32_000
    validation_samples: int = 32
    keep: int = 3
    optim: OptimConfig = field(default_factory=OptimConfig)

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        raise NotImplementedError


@dataclass(frozen=True)
class BaseTrain(TrainConfig):
    """Training of G_base.

    scale, margin, form: of the cycle loss; form is "megaportraits" (eq. 6-7 as written) or "cosface".
    cycle_trains: whom it teaches: "all" nets, as the paper is commonly read, or the expression "encoder" alone, on
        pictures of the other person in its own pose; docs/benchmarks.md, "Learning", has what either does.
    """

    loss: BaseLoss = field(default_factory=BaseLoss)
    cycle_scale: float = 5.0
    cycle_margin: float = 0.2
    cycle_form: str = "megaportraits"
    cycle_trains: str = "all"

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


@dataclass(frozen=True)
class EnhancerTrain(TrainConfig):
    """Training of G_enh on photos.

    max_roll_deg, max_zoom, max_shift: how far the two views of a photo are turned, enlarged and moved (the
    shift as a share of the side); (choice).
    """

    loss: EnhancerLoss = field(default_factory=EnhancerLoss)
    max_roll_deg: float = 15.0
    max_zoom: float = 1.15
    max_shift: float = 0.08

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


@dataclass(frozen=True)
class StudentTrain(TrainConfig):
    """Training of G_DT. avatars: the clips whose first frames it learns to draw, in the order of its indices."""

    loss: StudentLoss = field(default_factory=StudentLoss)
    avatars: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


@dataclass(frozen=True)
class GazeTrain(TrainConfig):
    """Distillation of the gaze and blink net."""

    loss: GazeLoss = field(default_factory=GazeLoss)

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


@dataclass(frozen=True)
class PoseTrain(TrainConfig):
    """Distillation of the head-pose net."""

    loss: PoseLoss = field(default_factory=PoseLoss)

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


def check(config: TrainConfig) -> None:
    """Raise UsageError where a value makes no sense, naming the key and what it may be."""
    _check_numbers(asdict(config), "")
    for name in ("steps", "batch", "accumulation", "log_every", "keep"):
        _demand(getattr(config, name) >= 1, name, getattr(config, name), "at least 1")
    _demand(config.batch <= LARGEST_BATCH, "batch", config.batch, f"at most {LARGEST_BATCH}")
    _demand(config.validation_samples <= LARGEST_BATCH, "validation_samples", config.validation_samples,
            f"at most {LARGEST_BATCH}")  # fmt: skip
    _demand(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    _demand(config.ema < 1, "ema", config.ema, "0 or more and below 1")
    _check_optim(config.optim)
    if isinstance(config, BaseTrain):
        _demand(config.cycle_form in CYCLE_FORMS, "cycle_form", config.cycle_form, f"one of {', '.join(CYCLE_FORMS)}")
        taught = config.cycle_trains
        _demand(taught in CYCLE_TRAINS, "cycle_trains", taught, f"one of {', '.join(CYCLE_TRAINS)}")
        _demand(config.cycle_scale > 0, "cycle_scale", config.cycle_scale, "above 0")
    if isinstance(config, EnhancerTrain):
        _demand(config.max_roll_deg <= 180, "max_roll_deg", config.max_roll_deg, "between 0 and 180")
        _demand(1 <= config.max_zoom <= 10, "max_zoom", config.max_zoom, "between 1 (never enlarged) and 10")
        _demand(config.max_shift < 0.5, "max_shift", config.max_shift, "0 or more and below 0.5")
    if isinstance(config, StudentTrain):
        texts = {name for name in map(_text, config.avatars) if name}
        _demand(len(texts) == len(config.avatars), "avatars", config.avatars, "ids of different clips")
    if config.batch % config.accumulation:
        raise UsageError(
            f"batch={config.batch} does not divide by accumulation={config.accumulation}: change one of them"
        )
    if config.stage and not any(config.weights.values()):
        first = next(iter(config.weights))
        raise UsageError(f"all loss weights are 0: give at least one, such as --set loss.{first}=1")


def _check_numbers(values: Mapping[str, Any], prefix: str) -> None:
    """All numbers are finite, not negative and of a size that arithmetic bears."""
    for key, value in values.items():
        name = prefix + key
        if isinstance(value, Mapping):
            _check_numbers(value, f"{name}.")
        elif isinstance(value, int):
            _demand(0 <= value <= LARGEST_COUNT, name, value, f"between 0 and {LARGEST_COUNT}")
        elif isinstance(value, float):
            _demand(math.isfinite(value) and value >= 0, name, value, "0 or more, and finite")
            _demand(value <= LARGEST_NUMBER, name, value, f"at most {LARGEST_NUMBER:.0f}")


def _text(value: object) -> str:
    """A text as it is, "" for what a YAML file may put in its place."""
    return value if isinstance(value, str) else ""


def _check_optim(optim: OptimConfig) -> None:
    def demand(holds: bool, key: str, wanted: str) -> None:
        _demand(holds, f"optim.{key}", getattr(optim, key), wanted)

    demand(optim.schedule in SCHEDULES, "schedule", f"one of {', '.join(SCHEDULES)}")
    demand(optim.lr > 0, "lr", "above 0")
    demand(optim.lr_end <= optim.lr, "lr_end", "between 0 and optim.lr")
    demand(0 < optim.rise < 1, "rise", "between 0 and 1")
    demand(optim.beta1 < 1, "beta1", "0 or more and below 1")
    demand(optim.beta2 < 1, "beta2", "0 or more and below 1")
    demand(SMALLEST_EPS <= optim.eps <= 1, "eps", f"between {SMALLEST_EPS:g} and 1")
    # A step takes lr * weight_decay of each weight away.
    demand(optim.lr * optim.weight_decay < 1, "weight_decay", "0 or more and below 1 / optim.lr")


def _demand(holds: bool, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise UsageError(f"{key}={value}: must be {wanted}")
