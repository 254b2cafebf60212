"""E_w and F_w: the source, warped, should look like the driver."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatarkit.losses.pixel import pixel_loss
from avatarkit.nets.features.vgg import VGGFeatures
from avatarkit.systems.metaportrait.flow import Flow, Moved, landmark_error, warp
from avatarkit.systems.metaportrait.stages.config import FlowTrain
from avatarkit.systems.metaportrait.stages.frames import Frames, compared, look, vgg_loss
from avatarkit.training.pictures import warped_checks
from avatarkit.training.stage import Batch, Columns, Outcome, Stage


class FlowStage(Stage):
    """Trains the flow alone.

    Args:
        config: of the training. flow: the net. vgg: frozen; None where its loss has no weight.
    """

    def __init__(self, config: FlowTrain, flow: Flow, vgg: VGGFeatures | None) -> None:
        super().__init__({"flow": flow})
        self.vgg = vgg
        self._config = config

    def forward(self, batch: Batch) -> Outcome:
        """Losses of warping each source to a frame of the same clip."""
        config = self._config
        shown = look(batch, config.seed if config.augment else None)
        driver = shown["driver"]
        source = shown["source"]
        offset = self._moved(self.nets, source, driver).offset
        warped = warp(source["image"], offset)
        terms: dict[str, Tensor] = {}
        if self.vgg is not None:
            terms["vgg19"] = vgg_loss(self.vgg, warped, driver["image"], driver["matte"])
        if config.loss.pixel:
            terms["pixel"] = pixel_loss(warped, driver["image"], driver["matte"])
        if config.loss.landmarks:
            size = warped.shape[-1]
            terms["landmarks"] = landmark_error(offset, source["landmarks"], driver["landmarks"], size)
        return {"terms": terms, "fakes": {}}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Source, driver, landmark picture, warped source, the flow as a chess board, occlusion."""
        shown = look(batch, None)
        source, driver = shown["source"], shown["driver"]
        moved = self._moved(nets, source, driver)
        return {
            "source": source["image"],
            "driver": driver["image"],
            "driver's lines": driver["lines"],
            "warped": warp(source["image"], moved.offset),
            "flow": flow_checks(moved.offset, source["image"].shape[-1]),
            "occlusion": moved.occlusion.expand(-1, 3, -1, -1),
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """The warped source against the driver, beside what copying the source would give."""
        shown = look(batch, None)
        source, driver = shown["source"], shown["driver"]
        warped = warp(source["image"], self._moved(nets, source, driver).offset)
        return compared(warped, driver, copied=source["image"])

    @staticmethod
    def _moved(nets: nn.ModuleDict, source: Frames, driver: Frames) -> Moved:
        moved: Moved = nets["flow"](source["image"], source["lines"], driver["lines"])
        return moved


def flow_checks(offset_B2ss: Tensor, size: int) -> Tensor:
    """A chess board seen through a flow, B x 3 x size x size in [0, 1]."""
    side = offset_B2ss.shape[-1]
    steps = torch.arange(side, device=offset_B2ss.device, dtype=torch.float32)
    place = torch.stack(torch.meshgrid(steps, steps, indexing="xy")) + offset_B2ss.float()
    grid = ((2 * place + 1) / side - 1).permute(0, 2, 3, 1)
    return warped_checks(torch.cat([grid, torch.zeros_like(grid[..., :1])], -1)[:, None], size)
