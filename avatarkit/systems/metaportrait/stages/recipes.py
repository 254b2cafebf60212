"""How each stage of MetaPortrait is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.data.samples import SampleSpec
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.metrics.face_embedding import FaceEmbedding
from avatarkit.nets.count import NetCount
from avatarkit.nets.features.imagenet import VGG19
from avatarkit.nets.features.open import open_features
from avatarkit.nets.identity import DLIB, Identity
from avatarkit.systems.metaportrait import build
from avatarkit.systems.metaportrait.config import PRESETS, FlowConfig, PortraitConfig, Preset, lines
from avatarkit.systems.metaportrait.count import count_enhancer, count_flow, count_identity, count_portrait
from avatarkit.systems.metaportrait.load import (
    flow_config,
    load_enhancer,
    load_flow,
    load_identity,
    load_portrait,
    portrait_config,
    unspectral,
)
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages import config as trainings
from avatarkit.systems.metaportrait.stages.config import (
    EnhancerTrain,
    FlowTrain,
    IdentityTrain,
    MetaTrain,
    PortraitTrain,
)
from avatarkit.systems.metaportrait.stages.enhancer import EnhancerStage
from avatarkit.systems.metaportrait.stages.flow import FlowStage
from avatarkit.systems.metaportrait.stages.identity import IdentityStage, leave_out_shared
from avatarkit.systems.metaportrait.stages.meta import MetaStage
from avatarkit.systems.metaportrait.stages.portrait import PortraitStage
from avatarkit.training.recipe import Ingredients, Parent, Parents, Recipe
from avatarkit.training.seeds import derive
from avatarkit.training.stage import Stage
from avatarkit.weights.load import present

Net = TypeVar("Net", bound=nn.Module)
_VGG_LOSSES = ("vgg19", "warp_vgg19", "style")


@dataclass(frozen=True)
class Frozen:
    """What the losses and the generator look through. recogniser: None where a parent brings one."""

    vgg: VGG19 | None = None
    recogniser: FaceEmbedding | None = None


def _flow(config: FlowTrain, given: Ingredients) -> Stage:
    flow = build.build_flow(_flow_config(config), derive(config.seed, "flow"))
    flow.net.occlusion.requires_grad_(False)  # nothing that the flow's losses see depends on it
    return FlowStage(config, flow, given.frozen.vgg)


def _flow_config(config: FlowTrain) -> FlowConfig:
    made = PRESETS[config.preset].portrait.flow
    return replace(made, lines=lines(config.lines)) if config.lines else made


def _portrait(config: PortraitTrain, given: Ingredients) -> Stage:
    preset = PRESETS[config.preset]
    recogniser, flow = given.parents.get("identity"), given.parents.get("flow")
    identity = None if recogniser is None else load_identity(recogniser)
    made = preset.portrait if identity is None else replace(preset.portrait, identity=identity.config)
    trained = None if flow is None else load_flow(flow)
    made = made if trained is None else replace(made, flow=trained.config)
    portrait = build.build_portrait(made, derive(config.seed, "portrait"))
    if trained is not None:
        portrait.flow.load_state_dict(trained.state_dict())
    _recognise(portrait, identity, given)
    return PortraitStage(config, portrait, given.frozen.vgg, _adversary(config, preset))


def _recognise(portrait: Portrait, own: Identity | None, given: Ingredients) -> None:
    """Fill the recogniser, and have it tell the data's people apart; with `--dry-run` there may be none."""
    identity, registered = portrait.identity, given.frozen.recogniser
    assert isinstance(identity, Identity)
    if own is not None:
        identity.load_state_dict(own.state_dict())
    elif registered is not None:
        identity.net.load_state_dict(registered.net.state_dict())
    else:
        return
    if given.begins:
        leave_out_shared(identity, given.data)


def _meta(config: MetaTrain, given: Ingredients) -> Stage:
    portrait = _parent(given, "portrait", load_portrait, lambda: _blank_portrait(config.preset))
    for part in (portrait.flow, portrait.source_encoder, portrait.generator):
        part.requires_grad_(True)
    return MetaStage(config, unspectral(portrait), given.frozen.vgg)


def _enhancer(config: EnhancerTrain, given: Ingredients) -> Stage:
    made = PRESETS[config.preset].enhancer
    enhancer = build.build_enhancer(made, derive(config.seed, "enhancer"))
    portrait = _parent(given, "portrait", load_portrait, lambda: _blank_portrait(config.preset))
    return EnhancerStage(config, enhancer, portrait, given.frozen.vgg)


def _temporal(config: EnhancerTrain, given: Ingredients) -> Stage:
    alone = _parent(
        given, "enhancer", load_enhancer, lambda: build.build_enhancer(PRESETS[config.preset].enhancer, 0)
    )
    enhancer = build.build_enhancer(replace(alone.config, windows=True), derive(config.seed, "windows"))
    enhancer.load_state_dict(alone.state_dict(), strict=False)  # all but the windows, which start at zero
    portrait = _parent(given, "portrait", load_portrait, lambda: _blank_portrait(config.preset))
    return EnhancerStage(config, enhancer, portrait, given.frozen.vgg)


def _identity(config: IdentityTrain, given: Ingredients) -> Stage:
    identity = build.build_identity(PRESETS[config.preset].own_identity, derive(config.seed, "identity"))
    return IdentityStage(config, identity, [identity for _, identity in given.data.clips])


def _blank_portrait(preset: str) -> Portrait:
    return build.build_portrait(PRESETS[preset].portrait, 0)


def _parent(given: Ingredients, option: str, load: Callable[[Checkpoint], Net], blank: Callable[[], Net]) -> Net:
    """A parent's net, built as its own checkpoint says; an untrained one for `--dry-run`."""
    checkpoint = given.parents.get(option)
    return blank() if checkpoint is None else load(checkpoint)


def _adversary(config: PortraitTrain, preset: Preset) -> AdversarialLoss | None:
    if not (config.loss.adversarial or config.loss.feature_matching):
        return None
    discriminator = build.build_discriminator(preset.discriminator, derive(config.seed, "discriminator"))
    optim = config.optim
    settings = OptimiserConfig(optim.lr, (optim.beta1, optim.beta2), optim.eps, optim.weight_decay)
    return AdversarialLoss(discriminator, settings, config.gan)


def _weights(config: Any) -> Mapping[str, float]:
    weights: Mapping[str, float] = vars(config.loss)
    return weights


def _frozen(config: Any, parents: Parents, blank: bool) -> Frozen:
    wanted = [name for name in _VGG_LOSSES if _weights(config).get(name)]
    vgg = None
    if wanted:
        without = " ".join(f"--set loss.{name}=0" for name in wanted)
        opened = VGG19() if blank else open_features("vgg19", without=without)
        assert isinstance(opened, VGG19)
        vgg = opened
    needs = isinstance(config, PortraitTrain) and parents.get("identity") is None and not blank
    return Frozen(vgg, FaceEmbedding.from_registry() if needs else None)


def _missing(config: Any, given: Iterable[str]) -> tuple[str, ...]:
    """Weights of others that are not here."""
    missing = []
    wanted = [f"--set loss.{name}=0" for name in _VGG_LOSSES if _weights(config).get(name)]
    if wanted and not present("vgg19"):
        missing.append(f"weights: avatarkit weights fetch vgg19, or {' '.join(wanted)}")
    if isinstance(config, PortraitTrain) and "identity" not in given and not present(DLIB):
        missing.append(f"weights: avatarkit weights fetch {DLIB}, or --identity CHECKPOINT")
    return tuple(missing)


def _flow_sample(config: FlowTrain, parents: Parents) -> SampleSpec:
    return SampleSpec(other=False, lines=_flow_config(config).lines.name)


def _portrait_sample(config: PortraitTrain, parents: Parents) -> SampleSpec:
    flow = parents.get("flow")
    known = PRESETS[config.preset].portrait.flow if flow is None else flow_config(flow)
    return SampleSpec(other=False, lines=known.lines.name)


def _meta_sample(config: MetaTrain, parents: Parents) -> SampleSpec:
    """One source, K drivers for the inner steps times their batch, and one that is held out."""
    frames = 1 + config.inner_steps * config.inner_batch + 1
    return SampleSpec(sources=frames, other=False, lines=_lines_of_portrait(config, parents))


def _enhancer_sample(config: EnhancerTrain, parents: Parents) -> SampleSpec:
    return SampleSpec(window=config.frames, other=False, lines=_lines_of_portrait(config, parents), lines_shrink=2)


def _lines_of_portrait(config: Any, parents: Parents) -> str:
    portrait = parents.get("portrait")
    known: PortraitConfig = PRESETS[config.preset].portrait if portrait is None else portrait_config(portrait)
    return known.flow.lines.name


def _recipe(stage: str, net: str, of: Callable[[Preset], Any], scale: int = 1, **more: Any) -> Recipe:
    """A stage that trains one net. of: the net's configuration in a preset. scale: of the pictures, in its frames."""
    count: Callable[[Preset], Iterator[NetCount]] = more.pop("count")
    return Recipe(
        stage=f"metaportrait/{stage}",
        net_configs=lambda preset: {net: of(PRESETS[preset])},
        size_px=lambda preset: scale * PRESETS[preset].portrait.size,
        count=lambda preset: count(PRESETS[preset]),
        frozen=_frozen,
        missing=_missing,
        **more,
    )


def _made_by(stage: str, net: str, *, required: bool = True, built_on: tuple[str, ...] = ()) -> Parent:
    return Parent(f"metaportrait/{stage}", required, (net,), built_on)


_ANY_IDENTITY = Parent("metaportrait/identity", required=False)

FLOW = _recipe(
    "flow", "flow", lambda preset: preset.portrait.flow, presets=trainings.FLOW, sample=_flow_sample, build=_flow,
    count=count_flow,
)  # fmt: skip
PORTRAIT = _recipe(
    "portrait", "portrait", lambda preset: preset.portrait, presets=trainings.PORTRAIT, sample=_portrait_sample,
    build=_portrait, count=count_portrait, parents={"flow": _made_by("flow", "flow"), "identity": _ANY_IDENTITY},
)  # fmt: skip
META = _recipe(
    "meta", "portrait", lambda preset: preset.portrait, presets=trainings.META, sample=_meta_sample, build=_meta,
    count=count_portrait, parents={"portrait": _made_by("portrait", "portrait")},
)  # fmt: skip
ENHANCER = _recipe(
    "enhancer", "enhancer", lambda preset: preset.enhancer, 2, presets=trainings.ENHANCER, sample=_enhancer_sample,
    build=_enhancer, count=lambda preset: count_enhancer(preset, windows=False),
    parents={"portrait": _made_by("portrait", "portrait")},
)  # fmt: skip
TEMPORAL = _recipe(
    "temporal", "enhancer", lambda preset: replace(preset.enhancer, windows=True), 2, presets=trainings.TEMPORAL,
    sample=_enhancer_sample, build=_temporal, count=lambda preset: count_enhancer(preset, windows=True),
    parents={
        "portrait": _made_by("portrait", "portrait"),
        "enhancer": _made_by("enhancer", "enhancer", built_on=("portrait",)),
    },
)  # fmt: skip
IDENTITY = _recipe(
    "identity", "identity", lambda preset: preset.own_identity, presets=trainings.IDENTITY,
    sample=SampleSpec(other=False), build=_identity, count=count_identity,
)  # fmt: skip
