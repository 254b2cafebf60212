"""What each stage needs and how it is put together: kind of data, checkpoints it builds on, nets, losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.nets.blocks import set_checkpointing
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.stages.base import BaseStage
from avatarkit.systems.megaportraits.stages.drive import Teacher
from avatarkit.systems.megaportraits.stages.enhancer import EnhancerStage
from avatarkit.systems.megaportraits.stages.gaze import GazeStage
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.systems.megaportraits.stages.pose import PoseStage
from avatarkit.systems.megaportraits.stages.student import StudentStage
from avatarkit.training.config import (
    BaseTrain,
    EnhancerTrain,
    GazeTrain,
    PoseTrain,
    StudentTrain,
    TrainConfig,
)
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import DataKind, Stage, freeze
from avatarkit.weights.load import load_into


@dataclass(frozen=True)
class Parent:
    """A checkpoint that a stage builds on.

    stage: that made it. nets: which of its nets must be built as the preset builds them.
    built_on: options whose checkpoints it must have been trained on itself.
    """

    stage: str
    required: bool
    nets: tuple[str, ...] = ()
    built_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ingredients:
    """What a stage is built from, all of it checked.

    parents: checkpoints by option; None for an untrained net in its place (`--dry-run`). perceptual: the frozen nets of
    its losses.
    """

    parents: Mapping[str, Checkpoint | None]
    data: TrainData
    perceptual: Perceptual


@dataclass(frozen=True)
class Recipe:
    """How a stage is made.

    kind: of its dataset. nets: what it trains. enlarge: how many times the base model's size its pictures have.
    parents: by option of the command line.
    """

    stage: str
    kind: DataKind
    nets: tuple[str, ...]
    build: Callable[[Any, Ingredients], Stage]
    enlarge: int = 1
    cross: bool = True
    parents: Mapping[str, Parent] = field(default_factory=dict)

    def make(self, config: Any, given: Ingredients) -> Stage:
        """The stage, ready to be trained."""
        stage = self.build(config, given)
        set_checkpointing(stage.nets, config.checkpointing)
        return stage

    def needed_px(self, preset: str) -> int:
        """Side of the pictures that the preset takes."""
        return PRESETS[preset].base.size * self.enlarge

    def describe(self, preset: str, stage: Stage) -> dict[str, Any]:
        """Each trained net's configuration and number of parameters, for checkpoints."""
        return {
            name: {
                "config": net_config(preset, name),
                "parameters": sum(parameter.numel() for parameter in stage.nets[name].parameters()),
            }
            for name in self.nets
        }


def net_config(preset: str, name: str) -> dict[str, Any]:
    """A net's configuration in a preset, as plain values that survive JSON."""
    found = _plain(asdict(getattr(PRESETS[preset], name)))
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _base(config: BaseTrain, given: Ingredients) -> Stage:
    base = build.build_base(PRESETS[config.preset].base, derive(config.seed, "base"))
    return BaseStage(config, base, given.perceptual, _adversary(config, "base_discriminator"))


def _enhancer(config: EnhancerTrain, given: Ingredients) -> Stage:
    preset = PRESETS[config.preset]
    enhancer = build.build_enhancer(preset.enhancer, derive(config.seed, "enhancer"))
    base = frozen_base(config.preset, given.parents.get("base"))
    return EnhancerStage(config, enhancer, base, _adversary(config, "enhancer_discriminator"), preset.base.size)


def _student(config: StudentTrain, given: Ingredients) -> Stage:
    student = build.build_student(PRESETS[config.preset].student, len(config.avatars), derive(config.seed, "student"))
    enhancer = None
    if "enhancer" in given.parents:
        enhancer = build.build_enhancer(PRESETS[config.preset].enhancer, 0)
        _fill(enhancer, given.parents["enhancer"], "enhancer")
    teacher = Teacher(frozen_base(config.preset, given.parents.get("base")), enhancer)
    freeze(teacher)
    identities = dict(given.data.clips)
    return StudentStage(
        config,
        student,
        teacher,
        given.perceptual,
        _adversary(config, "student_discriminator"),
        avatars=[given.data.first_frame(clip) for clip in config.avatars],
        identities=[identities[clip] for clip in config.avatars],
        people=[identity for _, identity in given.data.clips],
    )


def _gaze(config: GazeTrain, given: Ingredients) -> Stage:
    gaze = PRESETS[config.preset].gaze
    return GazeStage(config, build.build_gaze_net(gaze, derive(config.seed, "gaze")), gaze.eye_size)


def _pose(config: PoseTrain, given: Ingredients) -> Stage:
    return PoseStage(config, build.build_pose_net(PRESETS[config.preset].pose, derive(config.seed, "pose")))


def frozen_base(preset: str, checkpoint: Checkpoint | None) -> Base:
    """The averaged base model of a checkpoint, frozen; untrained without one (`--dry-run`).

    Raises:
        InputError: the checkpoint does not fit the preset.
    """
    base = build.build_base(PRESETS[preset].base, 0)
    _fill(base, checkpoint, "base")
    freeze(base)
    return base


def _fill(net: nn.Module, checkpoint: Checkpoint | None, name: str) -> None:
    if checkpoint is None:
        return
    averaged = f"{name}.ema"
    tensors = checkpoint.tensors(averaged if checkpoint.has(averaged) else name)
    load_into(net, tensors, checkpoint.folder, f"net {name}")


def _adversary(config: TrainConfig, kind: str) -> AdversarialLoss | None:
    weights = config.weights
    if not any(weights.get(name) for name in ("adversarial", "feature_matching", "cross_adversarial")):
        return None
    discriminator = build.build_discriminator(
        getattr(PRESETS[config.preset], kind), derive(config.seed, "discriminator")
    )
    optim = config.optim
    settings = OptimiserConfig(optim.lr, (optim.beta1, optim.beta2), optim.eps, optim.weight_decay)
    return AdversarialLoss(discriminator, settings)


_GAZE = Parent("gaze", required=False)
_NEEDS_BASE = Parent("base", required=True, nets=("base",))
_ENHANCER = Parent("enhancer", required=False, nets=("enhancer",), built_on=("base",))

RECIPES: Mapping[str, Recipe] = {
    "base": Recipe("base", "videos", ("base",), _base, parents={"gaze": _GAZE}),
    "enhancer": Recipe("enhancer", "photos", ("enhancer",), _enhancer, enlarge=2, parents={"base": _NEEDS_BASE}),
    "student": Recipe(
        "student",
        "videos",
        ("student",),
        _student,
        parents={"base": _NEEDS_BASE, "enhancer": _ENHANCER, "gaze": _GAZE},
    ),
    "gaze": Recipe("gaze", "videos", ("gaze",), _gaze, cross=False),
    "pose": Recipe("pose", "videos", ("pose",), _pose, cross=False),
}
