"""All networks of a frame together: self-reenactment of pairs from one clip."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.nets.convs import decay_groups
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages.config import PortraitTrain
from avatarkit.systems.metaportrait.stages.flow import flow_checks
from avatarkit.systems.metaportrait.stages.frames import Frames, compared, drawn_terms, drive, each, look
from avatarkit.training.stage import Batch, Columns, Outcome, Stage


class PortraitStage(Stage):
    """Trains flow, source encoder and generator.

    Args:
        config: of the training. portrait: the nets. vgg: frozen; None where its losses have no weight.
        adversary: None where its weights are 0.
    """

    def __init__(
        self, config: PortraitTrain, portrait: Portrait, vgg: VGGFeatures | None, adversary: AdversarialLoss | None
    ) -> None:
        super().__init__({"portrait": portrait}, adversary)
        self.vgg = vgg
        self._config = config

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The flow's networks learn more slowly: they have learned before."""
        return rated_groups(portrait_of(self.nets), self._config.flow_rate)

    def forward(self, batch: Batch) -> Outcome:
        """Losses of driving each source by a frame of the same clip."""
        config = self._config
        shown = look(batch, config.seed if config.augment else None)
        source, driver = shown["source"], shown["driver"]
        driven, terms = drawn_terms(
            portrait_of(self.nets),
            source,
            driver,
            self.vgg,
            config.loss,
            squared=config.squared_regions,
            identity=config.identity,
        )
        matte = driver["matte"]
        fakes = {"": (driven.image * matte, driver["image"] * matte)} if self.adversary is not None else {}
        return {"terms": terms, "fakes": fakes}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Source, driver, warped source, prediction, matte, flow, and the source driven by the next sample."""
        shown = look(batch, None)
        return portrait_pictures(portrait_of(nets), shown["source"], shown["driver"], self._config.identity)

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Self-reenactment against the driver, beside the warped source alone and a copy of the source."""
        shown = look(batch, None)
        source, driver = shown["source"], shown["driver"]
        driven, _ = drive(portrait_of(nets), source, driver, self._config.identity)
        figures = compared(driven.image, driver, copied=source["image"])
        return {**figures, "warped_face_psnr_db": compared(driven.warped, driver)["face_psnr_db"]}


def portrait_of(nets: nn.ModuleDict) -> Portrait:
    """The net of that name."""
    portrait = nets["portrait"]
    assert isinstance(portrait, Portrait)
    return portrait


def rated_groups(portrait: Portrait, flow_rate: float) -> list[dict[str, Any]]:
    """Parameter groups of an optimiser, the flow's with a share of the learning rate as "lr_scale"."""
    flow = [{**group, "lr_scale": flow_rate} for group in decay_groups(portrait.flow)]
    rest = [*decay_groups(portrait.source_encoder), *decay_groups(portrait.generator)]
    return [*flow, *rest]


def portrait_pictures(portrait: Portrait, source: Frames, driver: Frames, identity: bool = True) -> Columns:
    """What a training of a portrait shows."""
    driven, _ = drive(portrait, source, driver, identity)
    count = len(source["image"])
    crossed, _ = drive(portrait, source, each(driver, [(number + 1) % count for number in range(count)]), identity)
    return {
        "source": source["image"],
        "driver": driver["image"],
        "driver's lines": driver["lines"],
        "warped": driven.warped,
        "prediction": driven.image * driven.matte,
        "matte": driven.matte.expand(-1, 3, -1, -1),
        "flow": flow_checks(driven.moved.offset, portrait.config.size),
        "next driver": crossed.image * crossed.matte,
    }
