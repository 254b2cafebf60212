"""A stage small enough to train in milliseconds: a blur that learns to undo a noisy copy of the driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from avatarkit.checkpoint import list_checkpoints, open_checkpoint
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.megaportraits.stages.config import BaseLoss, BaseTrain
from avatarkit.training.config import OptimConfig
from avatarkit.training.hardware import open_accelerator
from avatarkit.training.loop import Ended, Origin, RunOptions, Trainer
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Batch, Columns, Outcome, Stage

CONFIG = BaseTrain(
    stage="base",
    preset="toy",
    steps=4,
    batch=4,
    precision="fp32",
    log_every=1,
    pictures_every=0,
    checkpoint_every=0,
    milestone_every=0,
    validate_every=0,
    validation_samples=4,
    loss=BaseLoss(0, 0, 0, adversarial=0.1, feature_matching=1, cycle=0, pixel=1),
    optim=OptimConfig(lr=1e-2),
)
ORIGIN = Origin(nets={}, parents={}, dataset={"sha256": "0"}, code={})


class ToyDiscriminator(nn.Module):
    """One scale."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 4, 2, 1))
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, image: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        features = torch.tanh(self.first(image))
        return [(self.last(features), [features])]


class ToyStage(Stage):
    """Sees the driver with noise that belongs to the sample."""

    def __init__(self, config: BaseTrain, *, poison_at: int | None = None, hungry: bool = False) -> None:
        torch.manual_seed(config.seed)
        blur = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Tanh(), nn.Conv2d(4, 3, 1))
        adversary = AdversarialLoss(ToyDiscriminator(), OptimiserConfig(eps=config.optim.eps))
        super().__init__({"blur": blur}, adversary)
        self._config, self._poison_at, self._hungry = config, poison_at, hungry

    def forward(self, batch: Batch) -> Outcome:
        if self._hungry:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        target = batch["driver"]["image"].float() / 255
        seeds = sample_seeds(self._config.seed, batch["positions"], "noise").tolist()
        noise = [torch.randn(target.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        drawn = self.nets["blur"](target + 0.1 * torch.stack(noise))
        pixel = (drawn - target).abs().mean()
        if self._poison_at in batch["positions"]:
            pixel = pixel * float("nan")
        return {"terms": {"pixel": pixel}, "fakes": {"": (drawn, target)}}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        target = batch["driver"]["image"].float() / 255
        return {"driver": target, "drawn": nets["blur"](target)}

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        target = batch["driver"]["image"].float() / 255
        return {"l1": (nets["blur"](target) - target).abs().mean((1, 2, 3))}


def trainer_of(
    out: Path,
    data: TrainData,
    config: BaseTrain = CONFIG,
    *,
    stop: int | None = None,
    workers: int = 0,
    **stage: object,
) -> Trainer:
    """A trainer at the beginning, or where the run in `out` stands."""
    accelerator = open_accelerator("cpu", config)
    options = RunOptions(out=out, workers=workers, stop_at_step=stop)
    toy = ToyStage(config, **stage)
    found = Trainer(toy, config, data, ORIGIN, accelerator, options, NullProgress())
    if list_checkpoints(out):
        found.restore(open_checkpoint(out))
    return found


def train_toy(out: Path, data: TrainData, config: BaseTrain = CONFIG, **how: object) -> tuple[Trainer, Ended]:
    """Run it."""
    trainer = trainer_of(out, data, config, **how)
    return trainer, trainer.run()


def tensors_of(out: Path) -> dict[str, Tensor]:
    """Everything that the newest checkpoint holds."""
    found = open_checkpoint(out)
    names = [name.removesuffix(".safetensors") for name in found.meta.files if name.endswith(".safetensors")]
    return {f"{name}:{key}": tensor for name in names for key, tensor in found.tensors(name).items()}


__all__ = ["CONFIG", "ToyStage", "replace", "tensors_of", "train_toy", "trainer_of"]
