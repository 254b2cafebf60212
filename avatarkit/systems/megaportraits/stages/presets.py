"""Training presets, one table per stage; the names are those of the networks' presets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from avatarkit.errors import UsageError
from avatarkit.training.config import (
    BaseLoss,
    BaseTrain,
    EnhancerLoss,
    EnhancerTrain,
    GazeTrain,
    OptimConfig,
    PoseTrain,
    StudentLoss,
    StudentTrain,
    TrainConfig,
)

Config = TypeVar("Config", bound=TrainConfig)

PAPER_512, PAPER_256, SMALL, TINY = "paper-512", "paper-256", "small-256", "tiny-64"

# The paper's gaze net: Adam, 0.8e-3, one cycle of which a tenth rises; it names no decay of weights.
_GAZE_OPTIM = OptimConfig(lr=0.8e-3, schedule="one-cycle", rise=0.1, beta1=0.9, weight_decay=0.0, clip_norm=0.0)
_POSE_OPTIM = OptimConfig(lr=1e-3, beta1=0.9, weight_decay=1e-2)

# Small presets train where no perceptual weights are at hand.
_BASE_PIXEL = BaseLoss(vgg19=0, vggface=0, gaze=0, adversarial=0.1, feature_matching=4, cycle=1, pixel=10)
_STUDENT_PIXEL = StudentLoss(vgg19=0, vggface=0, gaze=0, adversarial=0.1, pixel=10)


def _often(config: Config) -> Config:
    """Looked at more often than the paper's long trainings."""
    return replace(config, pictures_every=4_000, checkpoint_every=4_000, milestone_every=100_000, validate_every=4_000)


def _tiny(config: Config) -> Config:
    """For the CPU, a few minutes."""
    return replace(
        config,
        precision="fp32",
        log_every=10,
        pictures_every=1_000,
        checkpoint_every=1_000,
        milestone_every=0,
        validate_every=1_000,
        validation_samples=8,
    )


BASE: Mapping[str, BaseTrain] = {
    PAPER_512: BaseTrain(steps=300_000, batch=16, checkpointing=True),
    PAPER_256: BaseTrain(steps=200_000, batch=24, checkpointing=True),
    SMALL: _often(BaseTrain(steps=40_000, batch=16, loss=_BASE_PIXEL, cycle_trains="encoder")),
    TINY: _tiny(BaseTrain(steps=4_000, batch=4, loss=_BASE_PIXEL, cycle_trains="encoder")),
}
ENHANCER: Mapping[str, EnhancerTrain] = {
    PAPER_512: EnhancerTrain(steps=50_000, batch=16, checkpointing=True),
    PAPER_256: EnhancerTrain(steps=50_000, batch=16, checkpointing=True),
    SMALL: _often(EnhancerTrain(steps=10_000, batch=8)),
    TINY: _tiny(EnhancerTrain(steps=1_000, batch=2, loss=EnhancerLoss(adversarial=0.1, feature_matching=10))),
}
STUDENT: Mapping[str, StudentTrain] = {
    PAPER_512: StudentTrain(steps=170_000, batch=8),
    PAPER_256: StudentTrain(steps=170_000, batch=8),
    SMALL: _often(StudentTrain(steps=20_000, batch=16, loss=_STUDENT_PIXEL)),
    TINY: _tiny(StudentTrain(steps=2_000, batch=4, loss=_STUDENT_PIXEL)),
}
# 60 epochs of 60,000 frames in batches of 64.
GAZE: Mapping[str, GazeTrain] = {
    PAPER_512: GazeTrain(steps=56_250, batch=64, ema=0.0, optim=_GAZE_OPTIM),
    PAPER_256: GazeTrain(steps=56_250, batch=64, ema=0.0, optim=_GAZE_OPTIM),
    SMALL: _often(GazeTrain(steps=10_000, batch=64, ema=0.0, optim=_GAZE_OPTIM)),
    TINY: _tiny(GazeTrain(steps=1_000, batch=8, ema=0.0, optim=_GAZE_OPTIM)),
}
POSE: Mapping[str, PoseTrain] = {
    PAPER_512: PoseTrain(steps=30_000, batch=64, optim=_POSE_OPTIM),
    PAPER_256: PoseTrain(steps=30_000, batch=64, optim=_POSE_OPTIM),
    SMALL: _often(PoseTrain(steps=10_000, batch=64, optim=_POSE_OPTIM)),
    TINY: _tiny(PoseTrain(steps=1_000, batch=8, optim=_POSE_OPTIM)),
}
TABLES: Mapping[str, Mapping[str, TrainConfig]] = {
    "base": BASE,
    "enhancer": ENHANCER,
    "student": STUDENT,
    "gaze": GAZE,
    "pose": POSE,
}


def preset(stage: str, name: str) -> TrainConfig:
    """The configuration of a stage's preset; UsageError, with the nearest name, where there is none."""
    table = TABLES[stage]
    if name not in table:
        near = difflib.get_close_matches(name, list(table), n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"--preset {name}: there is no such preset; {hint}they are {', '.join(table)}")
    return replace(table[name], stage=stage, preset=name)
