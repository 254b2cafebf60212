"""Training of each stage: its configuration, and its presets as tables. Preset names are those of the networks'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

from avatarkit.losses.adversarial import FORMS
from avatarkit.training.config import OptimConfig, TrainConfig, demand

Config = TypeVar("Config", bound=TrainConfig)
INNER = ("adam", "sgd")


@dataclass(frozen=True)
class FlowLoss:
    """Weights of the warped source's losses. vgg19: the paper's.

    pixel, landmarks: for trainings without its weights (choice). Colours alone pull a flow no further than a few
    pixels; the landmarks of both frames tell where the face goes.
    """

    vgg19: float = 1.0
    pixel: float = 0.0
    landmarks: float = 0.0


@dataclass(frozen=True)
class PortraitLoss:
    """Weights of a frame's losses; the defaults are the paper's, feature matching (10 for each map) the release's.

    warp_vgg19, warp_pixel, warp_landmarks: of the warped source, as `FlowLoss`. vgg19, pixel: of the drawn frame.
    identity: 1 - cosine of identity vectors. eyes, mouth: L1 inside their boxes. matte: L1 of the drawn matte (choice).
    """

    warp_vgg19: float = 1.0
    warp_pixel: float = 0.0
    warp_landmarks: float = 0.0
    vgg19: float = 10.0
    pixel: float = 0.0
    identity: float = 20.0
    eyes: float = 50.0
    mouth: float = 50.0
    matte: float = 10.0
    adversarial: float = 1.0
    feature_matching: float = 40.0


@dataclass(frozen=True)
class EnhancerLoss:
    """Weights of the enhancer's losses (those of the release's temporal net)."""

    l1: float = 0.1
    vgg19: float = 1.0
    style: float = 50.0


@dataclass(frozen=True)
class IdentityLoss:
    """Weight of the only loss."""

    cosface: float = 1.0


@dataclass(frozen=True)
class FlowTrain(TrainConfig):
    """Training of E_w and F_w. lines: set of landmark lines; "" for the preset's."""

    loss: FlowLoss = field(default_factory=FlowLoss)
    lines: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


@dataclass(frozen=True)
class PortraitTrain(TrainConfig):
    """Training of all networks of a frame.

    gan: form of the adversarial loss. squared_regions: squared errors of eyes and mouth, as the release has them.
    flow_rate: learning rate of the flow's networks as a share of the others'.
    identity: False gives the generator a vector of zeros, to measure what it does.
    """

    loss: PortraitLoss = field(default_factory=PortraitLoss)
    gan: str = "least-squares"
    squared_regions: bool = False
    flow_rate: float = 0.1
    identity: bool = True

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)

    def check_own(self) -> None:
        """The GAN's form."""
        demand(self.gan in FORMS, "gan", self.gan, f"one of {', '.join(FORMS)}")


@dataclass(frozen=True)
class MetaTrain(TrainConfig):
    """Meta-learning (Reptile): `batch` people for each step, each adapted to from the same weights.

    optim: the outer Adam's; its rate is a step per weight, not a factor on the way to the adapted weights.
    inner_steps, inner_batch: K steps on so many frames each. inner_lr, inner, inner_clip: optimiser of these steps,
    "adam" (the release's) or "sgd" (the paper's), and their largest gradient norm; 0 for none. flow_rate, loss,
    squared_regions: as in `PortraitTrain`; without a GAN.
    """

    loss: PortraitLoss = field(default_factory=PortraitLoss)
    inner_steps: int = 24
    inner_batch: int = 2
    inner_lr: float = 2e-4
    inner: str = "adam"
    inner_clip: float = 0.3
    flow_rate: float = 0.1
    squared_regions: bool = False

    @property
    def weights(self) -> dict[str, float]:
        """Of the outer step, whose loss has the gradient phi - phi^K."""
        return {"reptile": 1.0}

    def check_own(self) -> None:
        """Steps and frames, and what must not change the outer gradient."""
        demand(self.inner_steps >= 1, "inner_steps", self.inner_steps, "at least 1")
        demand(self.inner_batch >= 1, "inner_batch", self.inner_batch, "at least 1")
        demand(self.inner in INNER, "inner", self.inner, f"one of {', '.join(INNER)}")
        demand(self.inner_lr > 0, "inner_lr", self.inner_lr, "above 0")
        demand(any(asdict(self.loss).values()), "loss", self.loss, "at least one weight above 0")
        for name in ("weight_decay", "clip_norm"):
            # Decay pulls phi to 0, and a clipped difference of weights has lost its length.
            demand(getattr(self.optim, name) == 0, f"optim.{name}", getattr(self.optim, name), "0 in meta-learning")


@dataclass(frozen=True)
class EnhancerTrain(TrainConfig):
    """Training of the enhancer, alone or of its windows in time.

    frames: of a clip. noise: standard deviation of what is added to each low frame, each its own (choice).
    windows_alone: freezes all but the windows where there are any. The release freezes its prior and trains all else.
    """

    loss: EnhancerLoss = field(default_factory=EnhancerLoss)
    frames: int = 1
    noise: float = 0.0
    windows_alone: bool = True

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)

    def check_own(self) -> None:
        """Frames."""
        demand(1 <= self.frames <= 64, "frames", self.frames, "between 1 and 64")


@dataclass(frozen=True)
class IdentityTrain(TrainConfig):
    """Training of a recogniser on the people of a dataset. scale, margin: of CosFace."""

    loss: IdentityLoss = field(default_factory=IdentityLoss)
    scale: float = 30.0
    margin: float = 0.35

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


PAPER, SMALL, TINY = "paper-256", "small-256", "tiny-64"
_OPTIM = OptimConfig(lr=2e-4, lr_end=2e-5, weight_decay=0.0, clip_norm=0.3)
_TINY_OPTIM = OptimConfig(lr=1e-3, lr_end=1e-4, weight_decay=0.0, clip_norm=1.0)
_META_OPTIM = OptimConfig(lr=2e-5, lr_end=2e-6, weight_decay=0.0, clip_norm=0.0)
_TEMPORAL_OPTIM = OptimConfig(lr=1e-4, lr_end=1e-7, beta1=0.9, beta2=0.99, weight_decay=0.0, clip_norm=1.0)
_IDENTITY_OPTIM = OptimConfig(lr=1e-3, lr_end=1e-5, beta1=0.9, weight_decay=1e-2)

# Small presets train where no perceptual weights are at hand. Region losses sum channels, pixel losses average all.
_FLOW_PIXEL = FlowLoss(vgg19=0, pixel=10, landmarks=20)
_PORTRAIT_PIXEL = PortraitLoss(
    warp_vgg19=0, warp_pixel=5, warp_landmarks=10, vgg19=0, pixel=10, identity=0.5, eyes=0.5, mouth=0.5, matte=5,
    adversarial=0.1, feature_matching=4,
)  # fmt: skip
_META_PIXEL = replace(_PORTRAIT_PIXEL, identity=0)
_ENHANCER_PIXEL = EnhancerLoss(l1=10, vgg19=0, style=0)


def _often(config: Config) -> Config:
    """Looked at more often than the paper's long trainings."""
    return replace(config, pictures_every=4_000, checkpoint_every=4_000, milestone_every=100_000, validate_every=4_000)


def _tiny(config: Config) -> Config:
    """For the CPU, a few minutes."""
    return replace(
        config, precision="fp32", ema=0.99, log_every=10, pictures_every=1_000, checkpoint_every=1_000,
        milestone_every=0, validate_every=1_000, validation_samples=8,
    )  # fmt: skip


FLOW: Mapping[str, FlowTrain] = {
    PAPER: FlowTrain(steps=200_000, batch=48, optim=_OPTIM),
    SMALL: _often(FlowTrain(steps=20_000, batch=16, loss=_FLOW_PIXEL, optim=_OPTIM)),
    TINY: _tiny(FlowTrain(steps=2_000, batch=4, loss=_FLOW_PIXEL, optim=_TINY_OPTIM)),
}
PORTRAIT: Mapping[str, PortraitTrain] = {
    PAPER: PortraitTrain(steps=200_000, batch=48, optim=_OPTIM),
    SMALL: _often(PortraitTrain(steps=40_000, batch=16, loss=_PORTRAIT_PIXEL, optim=_OPTIM)),
    TINY: _tiny(PortraitTrain(steps=3_000, batch=4, loss=_PORTRAIT_PIXEL, optim=_TINY_OPTIM)),
}
META: Mapping[str, MetaTrain] = {
    PAPER: MetaTrain(steps=14_000, batch=8, optim=_META_OPTIM),
    SMALL: _often(MetaTrain(steps=4_000, batch=4, loss=_META_PIXEL, optim=_META_OPTIM)),
    TINY: _tiny(
        MetaTrain(steps=200, batch=1, loss=_META_PIXEL, optim=replace(_META_OPTIM, lr=1e-4, lr_end=1e-5), inner_steps=8)
    ),
}
ENHANCER: Mapping[str, EnhancerTrain] = {
    PAPER: EnhancerTrain(steps=100_000, batch=16, optim=_TEMPORAL_OPTIM),
    SMALL: _often(EnhancerTrain(steps=10_000, batch=8, loss=_ENHANCER_PIXEL, optim=_TEMPORAL_OPTIM)),
    TINY: _tiny(EnhancerTrain(steps=1_000, batch=4, loss=_ENHANCER_PIXEL, optim=_TINY_OPTIM)),
}
TEMPORAL: Mapping[str, EnhancerTrain] = {
    PAPER: EnhancerTrain(steps=20_000, batch=8, frames=7, optim=_TEMPORAL_OPTIM),
    SMALL: _often(EnhancerTrain(steps=10_000, batch=4, frames=7, loss=_ENHANCER_PIXEL, optim=_TEMPORAL_OPTIM)),
    TINY: _tiny(EnhancerTrain(steps=1_000, batch=1, frames=5, loss=_ENHANCER_PIXEL, optim=_TINY_OPTIM)),
}
IDENTITY: Mapping[str, IdentityTrain] = {
    PAPER: IdentityTrain(steps=100_000, batch=128, optim=_IDENTITY_OPTIM),
    SMALL: _often(IdentityTrain(steps=20_000, batch=64, optim=_IDENTITY_OPTIM)),
    TINY: _tiny(IdentityTrain(steps=1_000, batch=16, optim=_IDENTITY_OPTIM)),
}
