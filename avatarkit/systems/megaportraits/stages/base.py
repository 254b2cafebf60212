"""The base model G_base: self-reenactment of pairs from one clip, and the cycle loss with another person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avatarkit.head.expression import expression_numbers
from avatarkit.head.face_crop import face_crops, landmarks_in_face_crop
from avatarkit.head.regions import region_weights
from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.losses.pixel import pixel_loss
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.losses import cycle_loss
from avatarkit.systems.megaportraits.stages.code_figures import code_figures, collapsed
from avatarkit.systems.megaportraits.stages.config import BaseTrain
from avatarkit.systems.megaportraits.stages.drive import drive, encode, motion_code
from avatarkit.systems.megaportraits.stages.frames import compared, prepared
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.systems.megaportraits.stages.tracked import tracked_figures
from avatarkit.training.augment.pairs import augment_driver, augment_pair
from avatarkit.training.pictures import warped_checks
from avatarkit.training.seeds import sample_seeds
from avatarkit.training.stage import Batch, Columns, Outcome, Stage

FIRST_STEPS = 0.25
"""Share of the steps before which nothing can be said about codes and pictures."""


class BaseStage(Stage):
    """Trains G_base: E_app, E_mtn's expression part, both warps, G_3D, P and G_2D.

    Args:
        config: of the training. base: the net. perceptual: the terms of frozen nets.
        adversary: None where its weights are 0.
    """

    best = ("face_psnr_db", True)

    def __init__(
        self, config: BaseTrain, base: Base, perceptual: Perceptual, adversary: AdversarialLoss | None
    ) -> None:
        super().__init__({"base": base}, adversary)
        self.perceptual = perceptual
        self._config = config

    def forward(self, batch: Batch) -> Outcome:
        """Losses of driving each source by a frame of the same person."""
        config, base = self._config, self._base(self.nets)
        shown = prepared(batch)
        positions = batch["positions"]
        if config.augment:
            shown = augment_pair(shown, sample_seeds(config.seed, positions, "pair"))
        source, driver = shown["source"], shown["driver"]
        z_s = motion_code(base, source["image"], source["head"])
        z_d = self._driver_code(base, driver, positions, "driver")
        driven = drive(base, encode(base, source, z_s), driver, z_d)
        target, matte = driver["image"], driver["matte"]
        counts = self._counts(driver)
        terms = self.perceptual(driven.image, target, matte, driver["landmarks"], counts)
        if config.loss.pixel:
            terms["pixel"] = pixel_loss(driven.image, target, matte, weights=counts)
        if config.loss.expression:
            # The other person's frames are there anyway, and faces are what this loss is short of.
            z_other = self._driver_code(base, shown["other_driver"], positions, "other")
            other = shown["other_source"]
            z_of = {"source": z_s, "driver": z_d, "other_driver": z_other,
                    "other_source": motion_code(base, other["image"], other["head"])}  # fmt: skip
            terms["expression"] = torch.stack([_misread(z, shown[name]) for name, z in z_of.items()]).mean()
        if config.loss.background:
            terms["background"] = (driven.image * (1 - matte)).abs().mean()
        # A sample's position tells its step.
        if config.weights_at(positions[0] // config.batch)["cycle"]:
            terms["cycle"] = self._cycle(base, shown, driven.image, z_s, z_d, positions)
        fakes = {"": (driven.image * matte, target * matte)} if self.adversary is not None else {}
        return {"terms": terms, "fakes": fakes}

    def _counts(self, driver: Mapping[str, Any]) -> Tensor | None:
        """How much each pixel counts in the pixel and perceptual losses."""
        mouth, eyes = self._config.mouth, self._config.eyes
        if not mouth and not eyes:
            return None
        height, width = driver["image"].shape[-2:]
        return region_weights(driver["landmarks"], height, width, mouth, eyes)

    def _cycle(
        self, base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_s: Tensor, z_d: Tensor, positions: list[int]
    ) -> Tensor:
        """Equations 6 and 7: the motion code of a prediction is its driver's, not that of another person's frame.

        With negatives of "both" it is not that of its source's own picture either, which gets no gradient.
        """
        config = self._config
        read = _read_by_all if config.cycle_trains == "all" else _read_by_encoder
        predicted = read(base, shown, x_sd, z_d)
        z_other = self._driver_code(base, shown["other_driver"], positions, "other")
        negatives = [(z, z_other) for z in predicted]
        if config.cycle_negatives == "both":
            with torch.no_grad():
                other = shown["other_source"]
                own = (z_s, motion_code(base, other["image"], other["head"]))
            negatives += [(z, z_own.detach()) for z, z_own in zip(predicted, own, strict=True)]
        return cycle_loss(
            [(z, z_d) for z in predicted],
            negatives,
            scale=config.cycle_scale,
            margin=config.cycle_margin,
            form=config.cycle_form,
        )

    def _driver_code(self, base: Base, frame: Mapping[str, Any], positions: list[int], purpose: str) -> Tensor:
        """The code of a driver; in training its face changes shape and colour first, but not its expression."""
        if not self._config.augment:
            return motion_code(base, frame["image"], frame["head"])
        size, head = base.config.face_size, frame["head"]
        crops = face_crops(frame["image"], head, size)
        points = landmarks_in_face_crop(frame["landmarks"], head, frame["image"].shape[-1], size)
        return base.expression(augment_driver(crops, points, sample_seeds(self._config.seed, positions, purpose)))

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Source, driver, both predictions, and the warps as chess boards."""
        base, shown = self._base(nets), prepared(batch)
        source, driver = shown["source"], shown["driver"]
        z_d = motion_code(base, driver["image"], driver["head"])
        code = encode(base, source)
        driven = drive(base, code, driver, z_d)
        crossed = drive(base, encode(base, shown["other_source"]), driver, z_d)
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
        """Self-reenactment against the driver, beside what copying the source would give; what codes carry; and what a
        tracker sees of it and of driving by another person."""
        base, shown = self._base(nets), prepared(batch)
        source, driver = shown["source"], shown["driver"]
        z_d = motion_code(base, driver["image"], driver["head"])
        code = encode(base, source)
        predicted = drive(base, code, driver, z_d).image
        figures = compared(predicted, driver, copied=source["image"]) | code_figures(base, shown, z_d, predicted)
        if self._config.track:
            other = shown["other_driver"]
            crossed = drive(base, code, other, motion_code(base, other["image"], other["head"])).image
            figures |= tracked_figures({"": predicted, "cross_": crossed}, source, [driver, other])
        return figures

    def concerns(self, figures: Mapping[str, float], done: float) -> list[str]:
        """Collapsed codes, and results that are worse than a copy of the source, after the first steps."""
        if done < FIRST_STEPS:
            return []
        lines = [collapsed(figures)]
        if figures["face_psnr_db"] < figures["copy_face_psnr_db"]:
            lines.append(
                f"faces are drawn worse ({figures['face_psnr_db']:.1f} dB) than the source left as it is"
                f" ({figures['copy_face_psnr_db']:.1f} dB): train longer, on more people, or see docs/training.md"
            )
        return [line for line in lines if line is not None]

    @staticmethod
    def _base(nets: nn.ModuleDict) -> Base:
        base = nets["base"]
        assert isinstance(base, Base)
        return base


def _misread(z: Tensor, frame: Mapping[str, Any]) -> Tensor:
    """How far the first components of a code are from the expression that the landmarks tell."""
    wanted = expression_numbers(frame["landmarks"], frame["head"], frame["image"].shape[-1]).to(z.dtype)
    return (z[:, : wanted.shape[1]] - wanted).abs().mean()


def _read_by_all(base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_d: Tensor) -> tuple[Tensor, Tensor]:
    """z_sd and z_s*d as published, with gradients to all nets.

    Predictions are seen through the driver's matte, as in all losses: what is drawn outside it is never trained,
    and would be a free place to carry the code in.
    """
    driver = shown["driver"]
    x_cross = drive(base, encode(base, shown["other_source"]), driver, z_d).image
    z_sd, z_cross = (motion_code(base, x * driver["matte"], driver["head"]) for x in (x_sd, x_cross))
    return z_sd, z_cross


def _read_by_encoder(base: Base, shown: Mapping[str, Any], x_sd: Tensor, z_d: Tensor) -> tuple[Tensor, Tensor]:
    """z_sd and z_s*d of given pictures, the other person's in its own pose.

    Nets that draw can meet the loss by drawing the driver's looks, by which codes are told apart too; and codes
    that need only agree with pictures in the driver's pose become codes of pose.
    """
    other = shown["other_source"]
    with torch.no_grad():
        x_cross = drive(base, encode(base, other), other, z_d).image
    z_sd = motion_code(base, x_sd.detach(), shown["driver"]["head"])
    return z_sd, motion_code(base, x_cross, other["head"])
