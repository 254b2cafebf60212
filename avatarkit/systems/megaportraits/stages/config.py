"""Training of each stage: its configuration, and its presets as tables. Preset names are those of the networks'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar, get_args

from avatarkit.systems.megaportraits.losses import CycleForm
from avatarkit.training.config import OptimConfig, TrainConfig, demand

Config = TypeVar("Config", bound=TrainConfig)
CYCLE_FORMS: tuple[str, ...] = get_args(CycleForm)
CYCLE_TRAINS = ("all", "encoder")
CYCLE_NEGATIVES = ("people", "both")


@dataclass(frozen=True)
class BaseLoss:
    """Weights of the base model's losses; the defaults are the paper's where it has the loss. 0 leaves one out.

    vgg16: as vgg19, by a net that is at hand more often (not in the paper).
    pixel: L1 with multi-scale gradients, for trainings without perceptual weights (not in the paper).
    expression: L1 between the first components of the codes of all frames and the expression as landmarks say
        it (`head.expression`), so that codes carry it from the start (choice).
    background: L1 of what is drawn outside the driver's matte against black, so that frames can be cut out (choice).
    """

    vgg19: float = 20.0
    vggface: float = 4.0
    gaze: float = 5.0
    adversarial: float = 1.0
    feature_matching: float = 40.0
    cycle: float = 2.0
    vgg16: float = 0.0
    pixel: float = 0.0
    expression: float = 1.0
    background: float = 1.0


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
    vgg16: float = 0.0
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
class BaseTrain(TrainConfig):
    """Training of G_base.

    mouth, eyes: how much more than elsewhere a difference counts there, in the pixel and perceptual losses (choice).
    track: validation also measures mouth, lids and pose by a face tracker, where one can run.
    cycle_from, cycle_ramp: the step at which the cycle loss begins, and over how many steps it then grows: before
        codes carry something there is nothing that it could keep apart (choice).
    cycle_negatives: "people" as published; "both" adds the source's own code, so that telling people apart is not
        enough (choice).
    cycle_scale, cycle_margin, cycle_form: of the cycle loss; form is "megaportraits" (eq. 6-7 as written) or "cosface".
    cycle_trains: whom it teaches: the expression "encoder" alone, on pictures of the other person in its own pose
        (choice), or "all" nets, as the paper is commonly read, with which more of the driver's looks leaked
        (docs/benchmarks.md, "Learning").
    """

    loss: BaseLoss = field(default_factory=BaseLoss)
    mouth: float = 4.0
    eyes: float = 4.0
    track: bool = True
    cycle_from: int = 50_000
    cycle_ramp: int = 10_000
    cycle_negatives: str = "both"
    cycle_scale: float = 5.0
    cycle_margin: float = 0.2
    cycle_form: str = "megaportraits"
    cycle_trains: str = "encoder"

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)

    def weights_at(self, step: int) -> dict[str, float]:
        """The cycle loss's weight is 0 before `cycle_from`, and grows over `cycle_ramp` steps."""
        grown = (step + 1 - self.cycle_from) / (self.cycle_ramp + 1)
        return {**self.weights, "cycle": self.loss.cycle * min(max(grown, 0.0), 1.0)}

    def check_own(self) -> None:
        """The cycle loss's form, scale, negatives, and whom it teaches."""
        negatives = self.cycle_negatives
        demand(negatives in CYCLE_NEGATIVES, "cycle_negatives", negatives, f"one of {', '.join(CYCLE_NEGATIVES)}")
        demand(self.cycle_form in CYCLE_FORMS, "cycle_form", self.cycle_form, f"one of {', '.join(CYCLE_FORMS)}")
        taught = self.cycle_trains
        demand(taught in CYCLE_TRAINS, "cycle_trains", taught, f"one of {', '.join(CYCLE_TRAINS)}")
        demand(self.cycle_scale > 0, "cycle_scale", self.cycle_scale, "above 0")


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

    def check_own(self) -> None:
        """How far views may go."""
        demand(self.max_roll_deg <= 180, "max_roll_deg", self.max_roll_deg, "between 0 and 180")
        demand(1 <= self.max_zoom <= 10, "max_zoom", self.max_zoom, "between 1 (never enlarged) and 10")
        demand(self.max_shift < 0.5, "max_shift", self.max_shift, "0 or more and below 0.5")


@dataclass(frozen=True)
class StudentTrain(TrainConfig):
    """Training of G_DT. avatars: the clips whose first frames it learns to draw, in the order of its indices."""

    loss: StudentLoss = field(default_factory=StudentLoss)
    avatars: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)

    def check_own(self) -> None:
        """Avatars are ids of different clips."""
        # A YAML file may put anything in a text's place.
        values: tuple[object, ...] = self.avatars
        texts = {name for name in values if isinstance(name, str) and name}
        demand(len(texts) == len(self.avatars), "avatars", self.avatars, "ids of different clips")


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
    SMALL: _often(BaseTrain(steps=40_000, batch=16, loss=_BASE_PIXEL, cycle_from=20_000, cycle_ramp=5_000)),
    # So short a training draws expression only near its end: a cycle loss would make all codes one.
    # At 64 pixels a mouth is ten pixels wide and an eye two high: without more weight they stay as the source's.
    TINY: _tiny(
        BaseTrain(
            steps=6_000, batch=4, loss=replace(_BASE_PIXEL, cycle=0), mouth=12.0, eyes=16.0, optim=OptimConfig(lr=5e-4)
        )
    ),
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
