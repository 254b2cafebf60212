"""The head-pose net, distilled from the shards' head transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatarkit.systems.megaportraits.stages.config import PoseTrain
from avatarkit.systems.megaportraits.stages.frames import both_frames, prepared
from avatarkit.training.augment.pairs import augment_pair
from avatarkit.training.pictures import warped_checks
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage
from avatarkit.training.views import ViewRange, draw_transforms, view

VIEWS = ViewRange(max_roll_deg=20.0, max_zoom=1.2, max_shift=0.08)
"""Frames are turned, enlarged and moved this much, so that the net learns more poses than the crops show."""


def split(head_B44: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (B, 3, 3), translation (B, 3) and scale (B,) of head transforms."""
    linear = head_B44[:, :3, :3]
    scale = torch.linalg.vector_norm(linear, dim=1).mean(-1)
    return linear / scale[:, None, None], head_B44[:, :3, 3], scale


def angle_deg(one_B33: Tensor, other_B33: Tensor) -> Tensor:
    """Angle between rotations, (B,), in degrees."""
    trace = (one_B33 * other_B33).sum(dim=(1, 2))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


class PoseStage(Stage):
    """Trains the head-pose net on both frames of each pair."""

    best = ("angle_deg", False)

    def __init__(self, config: PoseTrain, pose: nn.Module) -> None:
        super().__init__({"pose": pose})
        self._config = config

    def forward(self, batch: Batch) -> Outcome:
        """L1 of rotation matrix, translation and log scale."""
        shown = prepared(batch)
        positions = batch["positions"]
        if self._config.augment:
            shown = augment_pair(shown, sample_seeds(self._config.seed, positions, "pair"))
            for name in ("source", "driver"):
                moved = draw_transforms(sample_seeds(self._config.seed, positions, f"view {name}"), VIEWS)
                shown[name] = view(shown[name], moved)
        frames = both_frames(shown)
        result = self.nets["pose"](frames["image"])
        rotation, translation, scale = split(frames["head"])
        terms = {
            "rotation": (result.rotation - rotation).abs().mean(),
            "translation": (result.translation - translation).abs().mean(),
            "scale": (result.scale.flatten().log() - scale.log()).abs().mean(),
        }
        return {"terms": terms, "fakes": {}}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Frames beside the canonical chess board as the true and the found transform place it."""
        frames = prepared(batch)["driver"]
        result = nets["pose"](frames["image"])
        linear = result.scale.view(-1, 1, 1) * result.rotation
        size = frames["image"].shape[-1]
        true = split(frames["head"])
        return {
            "frame": frames["image"],
            "true pose": _board(true[0] * true[2][:, None, None], true[1], size),
            "found pose": _board(linear, result.translation, size),
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Errors per sample: degrees, half pictures, and the ratio of scales less one."""
        frames = prepared(batch)["driver"]
        result = nets["pose"](frames["image"])
        rotation, translation, scale = split(frames["head"])
        return {
            "angle_deg": angle_deg(result.rotation.float(), rotation),
            "translation": (result.translation - translation).abs().mean(1),
            "scale_ratio": (result.scale.flatten() / scale - 1).abs(),
        }


def _board(linear_B33: Tensor, translation_B3: Tensor, size: int) -> Tensor:
    """The canonical cube's front as a chess board, seen where a transform puts it."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    image = torch.stack([x, y, torch.zeros_like(x)], -1).to(linear_B33.device)
    back = torch.linalg.inv(linear_B33.float())
    canonical = (image[None] - translation_B3[:, None, None]) @ back[:, None].mT
    return warped_checks(canonical[:, None], size)
