"""Configuration of a training as frozen dataclasses, and which values make sense.

Each stage has a class of its own, so that a loss that the stage does not have is an unknown key.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from avatarkit.errors import UsageError

PRECISIONS = ("fp32", "bf16")
SCHEDULES = ("cosine", "one-cycle")


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
    """

    loss: BaseLoss = field(default_factory=BaseLoss)
    cycle_scale: float = 5.0
    cycle_margin: float = 0.2
    cycle_form: str = "megaportraits"

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
    at_least_one = ("steps", "batch", "accumulation", "log_every", "keep")
    not_negative = (
        "pictures_every", "checkpoint_every", "milestone_every", "validate_every", "validation_samples", "seed",
    )  # fmt: skip
    for name in at_least_one:
        _demand(getattr(config, name) >= 1, name, getattr(config, name), "at least 1")
    for name in not_negative:
        _demand(getattr(config, name) >= 0, name, getattr(config, name), "0 or more")
    _demand(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    _demand(0 <= config.ema < 1, "ema", config.ema, "0 or more and below 1")
    optim = config.optim
    _demand(optim.schedule in SCHEDULES, "optim.schedule", optim.schedule, f"one of {', '.join(SCHEDULES)}")
    _demand(optim.lr > 0 and math.isfinite(optim.lr), "optim.lr", optim.lr, "above 0")
    _demand(0 <= optim.lr_end <= optim.lr, "optim.lr_end", optim.lr_end, "between 0 and optim.lr")
    _demand(0 < optim.rise < 1, "optim.rise", optim.rise, "between 0 and 1")
    _demand(optim.clip_norm >= 0, "optim.clip_norm", optim.clip_norm, "0 (none) or more")
    if config.batch % config.accumulation:
        raise UsageError(
            f"batch={config.batch} does not divide by accumulation={config.accumulation}: change one of them"
        )
    for name, weight in config.weights.items():
        _demand(weight >= 0 and math.isfinite(weight), f"loss.{name}", weight, "0 (left out) or more")
    if config.stage and not any(config.weights.values()):
        raise UsageError("all loss weights are 0: give at least one, such as --set loss.pixel=1")


def _demand(holds: bool, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise UsageError(f"{key}={value}: must be {wanted}")
