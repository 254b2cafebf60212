"""The base model from frames to pictures: as it is trained, and frozen as a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from avatarkit.head.face_crop import face_crops
from avatarkit.systems.megaportraits.base import Base, Driven, SourceCode

Frames = Mapping[str, Any]
"""Frames of a batch: "image" (B, 3, S, S) and "matte" (B, 1, S, S) float in [0, 1], "head" (B, 4, 4)."""


def motion_code(base: Base, image_B3HW: Tensor, head_B44: Tensor) -> Tensor:
    """z, (B, 512): the expression of the face whose head transform this is."""
    return base.expression(face_crops(image_B3HW, head_B44, base.config.face_size))


def encode(base: Base, source: Frames, z_s: Tensor | None = None) -> SourceCode:
    """All of a source that its drivers share; G_3D runs here. The encoders of appearance see it without its background.

    z_s: its expression code, where it is known already.
    """
    if z_s is None:
        z_s = motion_code(base, source["image"], source["head"])
    pose = base.pose(source["image"], source["head"])
    return base.encode_source(source["image"] * source["matte"], pose, z_s)


def drive(base: Base, source: SourceCode, driver: Frames, z: Tensor) -> Driven:
    """Sources in the pose of drivers, one each, with the expression z (B, E)."""
    return base.drive(source, base.pose(driver["image"], driver["head"]), z)


class Teacher(nn.Module):
    """A frozen base model, with an enhancer where there is one."""

    def __init__(self, base: Base, enhancer: nn.Module | None = None) -> None:
        super().__init__()
        self.base = base
        self.enhancer = enhancer

    @torch.no_grad()
    def drive(self, source: Frames, driver: Frames) -> Tensor:
        """Sources moved like drivers, (B, 3, S, S) in [0, 1]; twice the side with an enhancer."""
        return self.drive_code(encode(self.base, source), driver)

    @torch.no_grad()
    def drive_code(self, source: SourceCode, driver: Frames) -> Tensor:
        """As `drive`, for encoded sources."""
        z_d = motion_code(self.base, driver["image"], driver["head"])
        low = drive(self.base, source, driver, z_d).image
        drawn: Tensor = low if self.enhancer is None else self.enhancer(low)
        return drawn.clamp(0, 1)


def rows(code: SourceCode, index: Tensor) -> SourceCode:
    """The sources numbered by `index`, int64 (B,)."""
    picked = {
        item.name: getattr(code, item.name)[index]
        for item in fields(code)
        if isinstance(getattr(code, item.name), Tensor)
    }
    return replace(code, **picked)


def joined(codes: Sequence[SourceCode]) -> SourceCode:
    """Encoded sources one after another as one."""
    picked = {
        item.name: torch.cat([getattr(code, item.name) for code in codes])
        for item in fields(codes[0])
        if isinstance(getattr(codes[0], item.name), Tensor)
    }
    return replace(codes[0], **picked)
