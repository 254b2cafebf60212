"""The enhancer on the frozen portrait's frames: first frame by frame, then with windows in time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.losses.foreground import l1 as foreground_l1
from avatarkit.losses.regions import style_loss
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages.config import EnhancerTrain
from avatarkit.systems.metaportrait.stages.frames import Frames, each, look, vgg_loss
from avatarkit.training.figures import l1, psnr_db
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage, freeze


class EnhancerStage(Stage):
    """Trains the enhancer, or its windows alone.

    Args:
        config: of the training. enhancer: the net; where it has windows, all else in it may be frozen.
        portrait: frozen. vgg: frozen; None where its losses have no weight.
    """

    def __init__(self, config: EnhancerTrain, enhancer: Enhancer, portrait: Portrait, vgg: VGGFeatures | None) -> None:
        if enhancer.config.windows and config.windows_alone:
            enhancer.requires_grad_(False)
            enhancer.windows.requires_grad_(True)
        super().__init__({"enhancer": enhancer})
        freeze(portrait)
        self.portrait, self.vgg = portrait, vgg
        self._config = config

    def forward(self, batch: Batch) -> Outcome:
        """Losses against the real frames at twice the portrait's size."""
        config = self._config
        shown = look(batch, config.seed if config.augment else None)
        target, matte = shown["driver"]["image"], shown["driver"]["matte"]
        low = self.low(shown["source"], shown["driver"], batch)
        drawn = self.nets["enhancer"](low).flatten(0, 1)
        terms = {"l1": foreground_l1(drawn, target, matte)} if config.loss.l1 else {}
        if self.vgg is not None:
            terms["vgg19"] = vgg_loss(self.vgg, drawn, target, matte)
            terms["style"] = style_loss(self.vgg(drawn * matte), self.vgg(target * matte))
        return {"terms": terms, "fakes": {}}

    @torch.no_grad()
    def low(self, source: Frames, driver: Frames, batch: Batch) -> Tensor:
        """What the portrait draws of the clips, B x T x 3 x S x S; with the noise of the configuration."""
        low = self.drawn(source, driver)
        return low + self._config.noise * self._noise(low, batch) if self._config.noise else low

    def drawn(self, source: Frames, driver: Frames) -> Tensor:
        """What the portrait draws, B x T x 3 x S x S: of B sources, T drivers each."""
        size, frames = self.portrait.config.size, len(driver["image"]) // len(source["image"])
        small = F.interpolate(source["image"], size=(size, size), mode="area")
        share = size / source["image"].shape[-1]
        points = [((part["landmarks"] + 0.5) * share - 0.5) for part in (source, driver)]
        code = self.portrait.encode_source(small, source["lines"], points[0])
        driven = self.portrait.drive(code.for_each(frames), driver["lines"], points[1])
        return (driven.image * driven.matte).view(-1, frames, 3, size, size)

    def _noise(self, low: Tensor, batch: Batch) -> Tensor:
        """A sample's noise goes by its position alone."""
        seeds = sample_seeds(self._config.seed, batch["positions"], "noise").tolist()
        made = [torch.randn(low.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(made).to(low)

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """The middle frame: driver, what the portrait draws, plainly enlarged and by the net."""
        shown = look(batch, None)
        low = self.low(shown["source"], shown["driver"], batch)
        middle, frames = low.shape[1] // 2, low.shape[1]
        drawn = nets["enhancer"](low)[:, middle]
        plain = F.interpolate(low[:, middle], scale_factor=2.0, mode="bilinear", align_corners=False)
        target = each(shown["driver"], slice(middle, None, frames))
        return {"driver": target["image"], "portrait": low[:, middle], "plain": plain, "enhanced": drawn}

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """All frames against the real ones inside the matte, beside the plain enlargement; a figure per clip."""
        shown = look(batch, None)
        low = self.low(shown["source"], shown["driver"], batch)
        target, matte = shown["driver"]["image"], shown["driver"]["matte"]
        drawn = nets["enhancer"](low).flatten(0, 1)
        plain = F.interpolate(low.flatten(0, 1), scale_factor=2.0, mode="bilinear", align_corners=False)
        figures = {
            "psnr_db": psnr_db(drawn, target, matte),
            "plain_psnr_db": psnr_db(plain, target, matte),
            "l1": l1(drawn, target, matte),
        }
        return {name: value.view(-1, low.shape[1]).mean(1) for name, value in figures.items()}
