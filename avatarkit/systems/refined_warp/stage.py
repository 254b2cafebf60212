"""The stage `refine`: the refinement trained on many people, so that it corrects the warp of any source.

Each pair of a dataset becomes a moment: the warp engine draws the source where the driver's landmarks are, and the
driver is the truth. The nets also see the source's own parts, level with the driver's, in place of an identity vector:
which teeth and lids a person has is seen there, where it is seen at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatarkit.background.composite import foreground_colors
from avatarkit.data.samples import SampleSpec
from avatarkit.head.coordinates import eye_opening, head_frame
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.count import NetCount, counted, parameters_of
from avatarkit.nets.discriminator import Discriminator, DiscriminatorConfig
from avatarkit.runtime import cpu_threads
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import SourceLayers
from avatarkit.systems.refined_warp.batch import Batch, Refined, jitter, refine
from avatarkit.systems.refined_warp.engine import NET, STAGE
from avatarkit.systems.refined_warp.losses import Perceptual, part_errors, part_losses, pyramid_loss
from avatarkit.systems.refined_warp.network import Refinement, RefinementConfig
from avatarkit.systems.refined_warp.patches import patches
from avatarkit.systems.refined_warp.samples import Sample, part_sizes, sample, source_parts, warped
from avatarkit.training.config import OptimConfig, TrainConfig
from avatarkit.training.recipe import Ingredients, Parents, Recipe
from avatarkit.training.seeds import derive
from avatarkit.training.stage import Batch as Samples
from avatarkit.training.stage import Columns, Outcome, Stage
from avatarkit.weights.load import present

__all__ = ["REFINE", "RefineStage", "RefineTrain"]

NETS: Mapping[str, RefinementConfig] = {
    "large-512": RefinementConfig(256, 256, (192, 128), (64, 96, 128), extra=3),
    "small-256": RefinementConfig(128, 128, (96, 64), (32, 48, 64), extra=3),
    "tiny-64": RefinementConfig(32, 32, (32, 32), (16, 16, 16), extra=3),
}
SIZES = {"large-512": 512, "small-256": 256, "tiny-64": 64}


@dataclass(frozen=True)
class RefineLoss:
    """Weights of the losses; 0 leaves one out. eye_: the same of the eyes."""

    l1: float = 8.0
    perceptual: float = 3.0
    detail: float = 100.0
    adversarial: float = 0.03
    feature_matching: float = 0.5
    eye_adversarial: float = 0.03
    eye_feature_matching: float = 0.5


@dataclass(frozen=True)
class RefineTrain(TrainConfig):
    """Training of the refinement."""

    loss: RefineLoss = field(default_factory=RefineLoss)

    @property
    def weights(self) -> dict[str, float]:
        """Loss weights by name."""
        return asdict(self.loss)


class RefineStage(Stage):
    """Trains the refinement on the warps of pairs, drawn as they come by as many threads as there are cores."""

    best = ("face_perceptual", False)

    def __init__(
        self, config: RefineTrain, net: Refinement, perceptual: nn.Module | None, adversary: AdversarialLoss | None
    ) -> None:
        super().__init__({NET: net}, adversary)
        self.frozen = perceptual
        self._perceptual: Perceptual = pyramid_loss if perceptual is None else perceptual
        self._sizes, self._half = net.config, config.precision == "bf16"

    def forward(self, batch: Samples) -> Outcome:
        """Losses of face, mouth and eyes."""
        refined = self._refined(batch, self.nets[NET])
        fakes: dict[str, tuple[Tensor, Tensor]] = {}
        if self.adversary is not None:
            eyes = [torch.cat([side["right_eye"], side["left_eye"]]) for side in (refined.result, refined.truth)]
            fakes = {"": (refined.result["mouth"], refined.truth["mouth"]), "eye_": (eyes[0], eyes[1])}
        return {"terms": part_losses(refined, self._perceptual), "fakes": fakes}

    def pictures(self, batch: Samples, nets: nn.ModuleDict) -> Columns:
        """Faces and mouths: what the warp drew, refined, and the truth."""
        refined = self._refined(batch, nets[NET])
        return {
            f"{name} {title}": parts[name].clamp(0, 1)
            for name in ("face", "mouth", "right_eye")
            for title, parts in (("warp", refined.warp), ("refined", refined.result), ("truth", refined.truth))
        }

    def measure(self, batch: Samples, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Errors beside those of the warp."""
        errors = part_errors(self._refined(batch, nets[NET]), self._perceptual)
        return {name.replace("/", "_"): value for name, value in errors.items()}

    def _refined(self, batch: Samples, net: nn.Module) -> Refined:
        moments = drawn_batch(batch, self._sizes)
        plain = net if isinstance(net, Refinement) else net.get_submodule("module")
        assert isinstance(plain, Refinement)
        still = jitter(len(moments.poses), None).to(moments.poses.device)
        return refine(plain, moments, still, half=self._half)


def drawn_batch(batch: Samples, sizes: RefinementConfig) -> Batch:
    """The pairs of a batch as moments: the warp engine draws each source in its driver's place."""
    sources, drivers = ({key: batch[side][key].cpu().numpy() for key in _KEYS} for side in ("source", "driver"))
    count, device = len(sources["image"]), batch["source"]["image"].device

    def one(number: int) -> tuple[Sample, dict[str, NDArray[np.uint8]]]:
        source, driver = ({key: frame[key][number] for key in _KEYS} for frame in (sources, drivers))
        return _moment(source, driver, sizes)

    with ThreadPoolExecutor(cpu_threads()) as pool:
        made = list(pool.map(one, range(count)))
    names = list(made[0][0].parts)

    def stacked(pictures: Iterator[NDArray[np.uint8]]) -> Tensor:
        return torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2).to(device)

    return Batch(
        {name: stacked(moment.parts[name] for moment, _ in made) for name in names},
        torch.from_numpy(np.stack([moment.matrices for moment, _ in made])).to(device),
        torch.from_numpy(np.stack([moment.pose for moment, _ in made])).to(device),
        {name: stacked(extra[name] for _, extra in made) for name in names},
    )


_KEYS = ("image", "matte", "landmarks")


def _moment(
    source: Mapping[str, NDArray[Any]], driver: Mapping[str, NDArray[Any]], sizes: RefinementConfig
) -> tuple[Sample, dict[str, NDArray[np.uint8]]]:
    picture, truth = (np.ascontiguousarray(frame["image"].transpose(1, 2, 0)) for frame in (source, driver))
    alpha = source["matte"][0].astype(np.float32) / np.float32(255.0)
    own, there = (np.asarray(frame["landmarks"], np.float64) for frame in (source, driver))
    layers = SourceLayers(picture, foreground_colors(picture, alpha), alpha, own)
    openness = eye_opening(there) / np.maximum(eye_opening(own), 0.05)
    asked = DriveFrame(head_frame(there), there, np.clip(openness, 0.0, 1.5), 0)
    engine = WarpEngine()
    engine.prepare(layers)
    shown = engine.eased(asked)
    drawn = warped(engine, asked, shown)
    extra = source_parts(sizes, layers)
    assert extra is not None
    return sample(sizes, drawn, shown, truth, patches(asked.landmarks, asked.pose)), extra


def _build(config: RefineTrain, given: Ingredients) -> Stage:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, NET))
        net = Refinement(NETS[config.preset])
        torch.manual_seed(derive(config.seed, "discriminator"))
        judge = Discriminator(DiscriminatorConfig(scales=1, widths=(32, 64, 128)))
    adversary = None
    if any(weight for name, weight in config.weights.items() if name.endswith(("adversarial", "feature_matching"))):
        optim = config.optim
        settings = OptimiserConfig(optim.lr, (optim.beta1, optim.beta2), optim.eps, optim.weight_decay)
        adversary = AdversarialLoss(judge, settings)
    return RefineStage(config, net, given.frozen, adversary)


def _frozen(config: TrainConfig, parents: Parents, blank: bool) -> nn.Module | None:
    """LPIPS where its weights are here, and the pictures are large enough for it."""
    small = min(NETS[config.preset].eye) < 64
    if blank or small or not (present("alexnet") and present("lpips-alexnet")):
        return None
    from avatarkit.metrics.lpips import LPIPS

    return LPIPS.from_registry()


def _count(preset: str) -> Iterator[NetCount]:
    config = NETS[preset]
    net = Refinement(config)
    pose = torch.zeros(1, 3)
    for name, part in (("face", net.face), ("mouth", net.mouth), ("right_eye", net.eye)):
        width, height = {**part_sizes(config), "face": (config.face,) * 2}[name]
        with counted(part) as total, torch.no_grad():
            part(torch.zeros(1, 6 + config.extra, height, width), pose)
        eyes = 2 if name == "right_eye" else 1
        yield NetCount(name.removeprefix("right_"), parameters_of(part), eyes * total[0], "frame")


_OPTIM = OptimConfig(lr=5e-4, lr_end=1e-5, clip_norm=1.0, beta1=0.5, beta2=0.99)
_SMALL = RefineTrain(steps=60_000, batch=8, precision="fp32", optim=_OPTIM)
PRESETS: Mapping[str, RefineTrain] = {
    "large-512": replace(_SMALL, steps=200_000, batch=32, precision="bf16"),
    "small-256": _SMALL,
    "tiny-64": replace(_SMALL, steps=2_000, batch=4),
}

REFINE = Recipe(
    stage=STAGE,
    presets=PRESETS,
    sample=SampleSpec(other=False),
    net_configs=lambda preset: {NET: NETS[preset]},
    size_px=lambda preset: SIZES[preset],
    count=_count,
    build=_build,
    frozen=_frozen,
)
