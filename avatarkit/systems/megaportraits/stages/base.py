"""The base model G_base: self-reenactment of pairs from one clip, and the cycle loss with another person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avatarkit.head.face_crop import face_crops, landmarks_in_face_crop
from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.losses.pixel import pixel_loss
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.losses import cycle_loss
from avatarkit.systems.megaportraits.stages.config import BaseTrain
from avatarkit.systems.megaportraits.stages.drive import encode, motion_code
from avatarkit.systems.megaportraits.stages.frames import compared, prepared
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.training.augment.pairs import augment_driver, augment_pair
from avatarkit.training.pictures import warped_checks
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage


class BaseStage(Stage):
    """Trains G_base: E_app, E_mtn's expression part, both warps, G_3D, P and G_2D.

    Args:
        config: of the training. base: the net. perceptual: the terms of frozen nets.
        adversary: None where its weights are 0.
    """

    def __init__(
        self, config: BaseTrain, base: Base, perceptual: Perceptual, adversary: AdversarialLoss | None
    ) -> None:
        super().__init__({"base": base}, adversary)
        self.perceptual = perceptual
        self._config = config

    def forward(self, batch: Batch) -> Outcome:
        """Losses of driving each source by a frame of the same clip."""
        config, base = self._config, self._base(self.nets)
        shown = prepared(batch)
        if config.augment:
            shown = augment_pair(shown, sample_seeds(config.seed, batch["positions"], "pair"))
        source, driver = shown["source"], shown["driver"]
        z_d = self._driver_code(base, driver, batch["positions"], "driver")
        driven = base.drive(encode(base, source), driver["head"], z_d)
        target, matte = driver["image"], driver["matte"]
        terms = self.perceptual(driven.image, target, matte, driver["landmarks"])
        if config.loss.pixel:
            terms["pixel"] = pixel_loss(driven.image, target, matte)
        if config.loss.cycle:
            terms["cycle"] = self._cycle(base, shown, driven.image, z_d, batch["positions"])
        fakes = {"": (driven.image * matte, target * matte)} if self.adversary is not None else {}
        return {"terms": terms, "fakes": fakes}

    def _cycle(self, base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_d: Tensor, positions: list[int]) -> Tensor:
        """Equations 6 and 7: the motion code of a prediction is its driver's, not that of another person's frame."""
        config = self._config
        read = _read_by_all if config.cycle_trains == "all" else _read_by_encoder
        z_predicted = read(base, shown, x_sd, z_d)
        z_other = self._driver_code(base, shown["other_driver"], positions, "other")
        return cycle_loss(
            [(z, z_d) for z in z_predicted],
            [(z, z_other) for z in z_predicted],
            scale=config.cycle_scale,
            margin=config.cycle_margin,
            form=config.cycle_form,
        )

    def _driver_code(self, base: Base, frame: Mapping[str, Any], positions: list[int], purpose: str) -> Tensor:
        """The code of a driver; in training its face changes shape and colour first, but not its expression."""
        if not self._config.augment:
            return motion_code(base, frame["image"], frame["landmarks"])
        crops = face_crops(frame["image"], frame["landmarks"], base.config.face_size)
        points = landmarks_in_face_crop(frame["landmarks"], base.config.face_size)
        return base.expression(augment_driver(crops, points, sample_seeds(self._config.seed, positions, purpose)))

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Source, driver, both predictions, and the warps as chess boards."""
        base, shown = self._base(nets), prepared(batch)
        source, driver = shown["source"], shown["driver"]
        z_d = motion_code(base, driver["image"], driver["landmarks"])
        code = encode(base, source)
        driven = base.drive(code, driver["head"], z_d)
        crossed = base.drive(encode(base, shown["other_source"]), driver["head"], z_d)
        size = source["image"].shape[-1]
        return {
            "source": source["image"],
            "driver": driver["image"],
            "prediction": driven.image * driver["matte"],
            "unmasked": driven.image,
            "other source": shown["other_source"]["image"],
            "cross prediction": crossed.image,
            "source warp": warped_checks(code.grid, size),
            "driver warp": warped_checks(driven.grid, size),
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Self-reenactment against the driver, beside what copying the source would give."""
        base, shown = self._base(nets), prepared(batch)
        source, driver = shown["source"], shown["driver"]
        z_d = motion_code(base, driver["image"], driver["landmarks"])
        predicted = base.drive(encode(base, source), driver["head"], z_d).image
        return compared(predicted, driver, copied=source["image"])

    @staticmethod
    def _base(nets: nn.ModuleDict) -> Base:
        base = nets["base"]
        assert isinstance(base, Base)
        return base


def _read_by_all(base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_d: Tensor) -> tuple[Tensor, Tensor]:
    """z_sd and z_s*d as published, with gradients to all nets.

    Predictions are seen through the driver's matte, as in all losses: what is drawn outside it is never trained,
    and would be a free place to carry the code in.
    """
    driver = shown["driver"]
    x_cross = base.drive(encode(base, shown["other_source"]), driver["head"], z_d).image
    z_sd, z_cross = (motion_code(base, x * driver["matte"], driver["landmarks"]) for x in (x_sd, x_cross))
    return z_sd, z_cross


def _read_by_encoder(base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_d: Tensor) -> tuple[Tensor, Tensor]:
    """z_sd and z_s*d of given pictures, the other person's in its own pose.

    Nets that draw can meet the loss by drawing the driver's looks, by which codes are told apart too; and codes
    that need only agree with pictures in the driver's pose become codes of pose.
    """
    other = shown["other_source"]
    with torch.no_grad():
        x_cross = base.drive(encode(base, other), other["head"], z_d).image
    z_sd = motion_code(base, x_sd.detach(), shown["driver"]["landmarks"])
    return z_sd, motion_code(base, x_cross, other["landmarks"])
