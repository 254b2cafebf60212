"""How each stage of MegaPortraits is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.data.samples import SampleSpec
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.nets.count import NetCount
from avatarkit.nets.features.open import FEATURE_NETS
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.count import count_base, count_preset
from avatarkit.systems.megaportraits.gaze import GazeNet
from avatarkit.systems.megaportraits.gaze_features import GazeFeatures
from avatarkit.systems.megaportraits.load import load_base, load_enhancer, load_pose
from avatarkit.systems.megaportraits.stages import config
from avatarkit.systems.megaportraits.stages.avatars import with_avatars
from avatarkit.systems.megaportraits.stages.base import BaseStage
from avatarkit.systems.megaportraits.stages.config import BaseTrain, EnhancerTrain, GazeTrain, PoseTrain, StudentTrain
from avatarkit.systems.megaportraits.stages.drive import Teacher
from avatarkit.systems.megaportraits.stages.enhancer import EnhancerStage
from avatarkit.systems.megaportraits.stages.gaze import GazeStage
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual, open_perceptual
from avatarkit.systems.megaportraits.stages.pose import PoseStage
from avatarkit.systems.megaportraits.stages.student import StudentStage
from avatarkit.training.config import TrainConfig
from avatarkit.training.recipe import Ingredients, Parent, Parents, Recipe
from avatarkit.training.seeds import derive
from avatarkit.training.stage import Stage, freeze
from avatarkit.weights.load import present

Net = TypeVar("Net", bound=nn.Module)


def _base(config: BaseTrain, given: Ingredients) -> Stage:
    preset = PRESETS[config.preset]
    sizes, pose = preset.base, None
    if "pose" in given.parents:
        pose = _parent(given, "pose", load_pose, lambda: build.build_pose_net(preset.pose, 0))
        sizes = replace(sizes, pose_net=pose.config)
    base = build.build_base(sizes, derive(config.seed, "base"))
    if pose is not None:
        base.pose_net = pose
    return BaseStage(config, base, given.frozen, _adversary(config, "base_discriminator"))


def _enhancer(config: EnhancerTrain, given: Ingredients) -> Stage:
    preset = PRESETS[config.preset]
    enhancer = build.build_enhancer(preset.enhancer, derive(config.seed, "enhancer"))
    base = _parent(given, "base", load_base, lambda: build.build_base(preset.base, 0))
    return EnhancerStage(config, enhancer, base, _adversary(config, "enhancer_discriminator"), preset.base.size)


def _student(config: StudentTrain, given: Ingredients) -> Stage:
    preset = PRESETS[config.preset]
    student = build.build_student(preset.student, len(config.avatars), derive(config.seed, "student"))
    enhancer = None
    if "enhancer" in given.parents:
        enhancer = _parent(given, "enhancer", load_enhancer, lambda: build.build_enhancer(preset.enhancer, 0))
    teacher = Teacher(_parent(given, "base", load_base, lambda: build.build_base(preset.base, 0)), enhancer)
    identities = dict(given.data.clips)
    return StudentStage(
        config,
        student,
        teacher,
        given.frozen,
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


def _parent(given: Ingredients, option: str, load: Callable[[Checkpoint], Net], blank: Callable[[], Net]) -> Net:
    """A parent's net, built as its own checkpoint says, frozen; an untrained one for `--dry-run`."""
    checkpoint = given.parents.get(option)
    net = blank() if checkpoint is None else load(checkpoint)
    freeze(net)
    return net


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


def _frozen(config: TrainConfig, parents: Parents, blank: bool) -> Perceptual:
    """The nets that the losses look through; untrained ones for `--dry-run`."""
    if not blank:
        return open_perceptual(config.weights, parents.get("gaze"))
    nets: dict[str, VGGFeatures] = {name: kind() for name, kind in FEATURE_NETS.items() if config.weights.get(name)}
    gaze = PRESETS[config.preset].gaze
    if config.weights.get("gaze"):
        nets["gaze"] = GazeFeatures(GazeNet(gaze).trunk)
    return Perceptual(nets, gaze.eye_size)


def _missing(config: TrainConfig, given: Iterable[str]) -> tuple[str, ...]:
    """Weights of the losses that are not here."""
    missing = []
    if config.weights.get("gaze") and "gaze" not in given:
        missing.append("--gaze CHECKPOINT, or --set loss.gaze=0")
    missing += [
        f"weights: avatarkit weights fetch {name}, or --set loss.{name}=0"
        for name in FEATURE_NETS
        if config.weights.get(name) and not present(name)
    ]
    return tuple(missing)


def _recipe(
    stage: str, sample: SampleSpec, counted: tuple[str, ...], presets: Mapping[str, TrainConfig], **more: Any
) -> Recipe:
    """A stage that trains the net of its own name. counted: what it trains, in the paper's names; see `count`."""
    enlarge = more.pop("enlarge", 1)

    def count(preset: str) -> Iterator[NetCount]:
        result = {net.net: net for net in count_preset(PRESETS[preset])}
        if stage == "base":
            yield from count_base(PRESETS[preset])
        yield from (result[name] for name in counted)

    return Recipe(
        stage=stage,
        presets=presets,
        sample=sample,
        net_configs=lambda preset: {stage: getattr(PRESETS[preset], stage)},
        size_px=lambda preset: PRESETS[preset].base.size * enlarge,
        count=count,
        **more,
    )


_GAZE_PARENT = Parent("gaze", required=False)
_POSE_PARENT = Parent("pose", required=False)
_BASE_PARENT = Parent("base", required=True, nets=("base",))
_ENHANCER_PARENT = Parent("enhancer", required=False, nets=("enhancer",), built_on=("base",))
_PAIRS, _ALONE, _PHOTOS = SampleSpec(), SampleSpec(other=False), SampleSpec("photos")
_LOOKS: dict[str, Any] = {"frozen": _frozen, "missing": _missing}

BASE = _recipe(
    "base",
    SampleSpec(candidates=8),
    ("D, base",),
    config.BASE,
    build=_base,
    parents={"gaze": _GAZE_PARENT, "pose": _POSE_PARENT},
    **_LOOKS,
)
ENHANCER = _recipe(
    "enhancer",
    _PHOTOS,
    ("G_enh", "D, enhancer"),
    config.ENHANCER,
    build=_enhancer,
    parents={"base": _BASE_PARENT},
    enlarge=2,
)
STUDENT = _recipe(
    "student",
    _PAIRS,
    ("G_DT", "G_DT, per avatar", "D, student"),
    config.STUDENT,
    build=_student,
    parents={"base": _BASE_PARENT, "enhancer": _ENHANCER_PARENT, "gaze": _GAZE_PARENT},
    with_options=with_avatars,
    **_LOOKS,
)
GAZE = _recipe("gaze", _ALONE, ("gaze and blink",), config.GAZE, build=_gaze)
POSE = _recipe("pose", _ALONE, ("E_mtn, pose",), config.POSE, build=_pose)
