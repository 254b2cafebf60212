"""The gaze and blink net, distilled from the shards' iris and eyelid annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avatarkit.head.face_crop import eye_crops
from avatarkit.systems.megaportraits.stages.config import GazeTrain
from avatarkit.systems.megaportraits.stages.frames import both_frames, prepared
from avatarkit.training.augment.pairs import augment_pair
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage


class GazeStage(Stage):
    """Trains the gaze and blink net on both frames of each pair.

    Args:
        config: of the training. gaze: the net. eye_px: side of its eye crops, pixels.
    """

    best = ("gaze_error", False)

    def __init__(self, config: GazeTrain, gaze: nn.Module, eye_px: int) -> None:
        super().__init__({"gaze": gaze})
        self._config = config
        self._eye_px = eye_px

    def forward(self, batch: Batch) -> Outcome:
        """Mean absolute and squared errors of gaze and lids together."""
        shown = prepared(batch)
        if self._config.augment:
            shown = augment_pair(shown, sample_seeds(self._config.seed, batch["positions"], "pair"))
        frames = both_frames(shown)
        gaze, opening = self._told(frames, self.nets)
        errors = torch.cat([(gaze - frames["gaze"]).flatten(1), (opening - frames["eye_opening"]).flatten(1)], dim=1)
        return {"terms": {"mae": errors.abs().mean(), "mse": errors.square().mean()}, "fakes": {}}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """The crops that the net sees, darkened the more it takes the eye for closed."""
        frames = prepared(batch)["driver"]
        crops = eye_crops(frames["image"], frames["landmarks"], self._eye_px)
        _, opening = self._told(frames, nets)
        shade = opening.clamp(0, 1)[:, :, None, None, None]
        return {
            "right eye": crops[:, 0],
            "right opening": (crops * shade)[:, 0],
            "left eye": crops[:, 1],
            "left opening": (crops * shade)[:, 1],
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Mean absolute errors per sample, in the annotations' units."""
        frames = prepared(batch)["driver"]
        gaze, opening = self._told(frames, nets)
        return {
            "gaze_error": (gaze - frames["gaze"]).abs().flatten(1).mean(1),
            "opening_error": (opening - frames["eye_opening"]).abs().mean(1),
        }

    def _told(self, frames: Mapping[str, Any], nets: nn.ModuleDict) -> tuple[Tensor, Tensor]:
        """Gaze (B, 2, 2) in eye widths and lids (B, 2), as the columns of the shards hold them."""
        crops = eye_crops(frames["image"], frames["landmarks"], self._eye_px)
        result = nets["gaze"](crops, frames["landmarks"])
        return result.gaze, result.opening
