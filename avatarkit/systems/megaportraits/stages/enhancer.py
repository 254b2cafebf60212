"""The enhancer G_enh: photos at twice the size, through the frozen base model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.losses.foreground import l1 as foreground_l1
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.losses import downsampled_cycle
from avatarkit.systems.megaportraits.stages.config import EnhancerTrain
from avatarkit.systems.megaportraits.stages.drive import Teacher
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.training.figures import l1, psnr_db
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage, freeze
from avatarkit.training.views import ViewRange, draw_transforms, shrink, view


class EnhancerStage(Stage):
    """Trains G_enh on the base model's outputs.

    Supervised: the source is a view of a photo, driver and target the photo itself at twice the base model's size: a
    view is resampled, which would take half of the target's finest detail. Unsupervised: the driver is another photo;
    the output must look real and agree with its input once both are small.

    Args:
        config: of the training. enhancer: the net. base: frozen. size: of the base model's pictures, pixels.
    """

    best = ("psnr_db", True)

    def __init__(
        self, config: EnhancerTrain, enhancer: nn.Module, base: Base, adversary: AdversarialLoss | None, size: int
    ) -> None:
        super().__init__({"enhancer": enhancer}, adversary)
        freeze(base)
        self.teacher = Teacher(base)
        self._config = config
        self._size = size
        self._limits = ViewRange(config.max_roll_deg, config.max_zoom, config.max_shift)

    def forward(self, batch: Batch) -> Outcome:
        """Losses of both groups."""
        enhancer, weights = self.nets["enhancer"], self._config.loss
        source, driver, other = self._views(batch)
        target, matte = driver["image"], driver["matte"]
        sharp = enhancer(self._driven(source, driver))
        terms = {"l1": foreground_l1(sharp, target, matte)}
        fakes = {"": (sharp * matte, target * matte)} if self.adversary is not None else {}
        if weights.downsampled or weights.cross_adversarial:
            low = self._driven(source, other)
            crossed = enhancer(low)
            terms["downsampled"] = downsampled_cycle(low, crossed, shrink(other, self._size)["matte"])
            if self.adversary is not None and weights.cross_adversarial:
                # The driver's matte is the nearest to the output's own that there is.
                fakes["cross_"] = (crossed * other["matte"], other["image"] * other["matte"])
        return {"terms": terms, "fakes": fakes}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """The views, the base model's output plainly enlarged, and the enhancer's."""
        source, driver, other = self._views(batch)
        low, crossed = self._driven(source, driver), self._driven(source, other)
        return {
            "source": source["image"],
            "driver": driver["image"],
            "enlarged": _enlarged(low),
            "enhanced": nets["enhancer"](low),
            "other driver": other["image"],
            "cross enlarged": _enlarged(crossed),
            "cross enhanced": nets["enhancer"](crossed),
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Nearness to the photo, beside that of plain enlargement."""
        source, driver, _ = self._views(batch)
        low = self._driven(source, driver)
        sharp, target, matte = nets["enhancer"](low), driver["image"], driver["matte"]
        return {
            "psnr_db": psnr_db(sharp, target, matte),
            "enlarged_psnr_db": psnr_db(_enlarged(low), target, matte),
            "l1": l1(sharp, target, matte),
        }

    def _views(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Source, driver and another person's driver, all at twice the base model's size; the source alone is moved."""
        shown = prepared(batch)
        seeds = sample_seeds(self._config.seed, batch["positions"], "source")
        moved = view(shown, draw_transforms(seeds, self._limits))
        return self._sized(moved), self._sized(shown), self._sized(shown["partner"])

    def _sized(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        return dict(frame) if frame["image"].shape[-1] == 2 * self._size else shrink(frame, 2 * self._size)

    @torch.no_grad()
    def _driven(self, source: Mapping[str, Any], driver: Mapping[str, Any]) -> Tensor:
        return self.teacher.drive(shrink(source, self._size), shrink(driver, self._size)).detach()


def _enlarged(low: Tensor) -> Tensor:
    return F.interpolate(low, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
