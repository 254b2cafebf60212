"""Configuration of a training as frozen dataclasses, and which values make sense.

Each stage has a class of its own in its system's folder, so that a loss that the stage does not have is an unknown key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from avatarkit.errors import UsageError

PRECISIONS = ("fp32", "bf16")
SCHEDULES = ("cosine", "one-cycle")
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
class TrainConfig:
    """What all stages share.

    steps: optimiser steps in all.        batch: samples of one step, over all processes and passes.
    accumulation: passes that share a step; the batch divides by it and by the number of processes.
    precision: "fp32" or "bf16" (autocast; weights and optimiser stay float32).
    checkpointing: compute activations again when gradients need them: less memory, about a third more time.
    compile: translate the networks for the device at the first step (torch.compile).
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
    compile: bool = False
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

    def weights_at(self, step: int) -> dict[str, float]:
        """Loss weights at a step, from 0; those of all steps by default."""
        return self.weights

    def check_own(self) -> None:
        """Raise UsageError where a value of the stage's own keys makes no sense; see `demand`."""


def check(config: TrainConfig) -> None:
    """Raise UsageError where a value makes no sense, naming the key and what it may be."""
    _check_numbers(asdict(config), "")
    for name in ("steps", "batch", "accumulation", "log_every", "keep"):
        demand(getattr(config, name) >= 1, name, getattr(config, name), "at least 1")
    demand(config.batch <= LARGEST_BATCH, "batch", config.batch, f"at most {LARGEST_BATCH}")
    demand(config.validation_samples <= LARGEST_BATCH, "validation_samples", config.validation_samples,
            f"at most {LARGEST_BATCH}")  # fmt: skip
    demand(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    demand(config.ema < 1, "ema", config.ema, "0 or more and below 1")
    _check_optim(config.optim)
    config.check_own()
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
            demand(0 <= value <= LARGEST_COUNT, name, value, f"between 0 and {LARGEST_COUNT}")
        elif isinstance(value, float):
            demand(math.isfinite(value) and value >= 0, name, value, "0 or more, and finite")
            demand(value <= LARGEST_NUMBER, name, value, f"at most {LARGEST_NUMBER:.0f}")


def _check_optim(optim: OptimConfig) -> None:
    def must(holds: bool, key: str, wanted: str) -> None:
        demand(holds, f"optim.{key}", getattr(optim, key), wanted)

    must(optim.schedule in SCHEDULES, "schedule", f"one of {', '.join(SCHEDULES)}")
    must(optim.lr > 0, "lr", "above 0")
    must(optim.lr_end <= optim.lr, "lr_end", "between 0 and optim.lr")
    must(0 < optim.rise < 1, "rise", "between 0 and 1")
    must(optim.beta1 < 1, "beta1", "0 or more and below 1")
    must(optim.beta2 < 1, "beta2", "0 or more and below 1")
    must(SMALLEST_EPS <= optim.eps <= 1, "eps", f"between {SMALLEST_EPS:g} and 1")
    # A step takes lr * weight_decay of each weight away.
    must(optim.lr * optim.weight_decay < 1, "weight_decay", "0 or more and below 1 / optim.lr")


def demand(holds: bool, key: str, value: object, wanted: str) -> None:
    """Raise UsageError that names a key, its value and what it must be, unless it holds."""
    if not holds:
        raise UsageError(f"{key}={value}: must be {wanted}")
