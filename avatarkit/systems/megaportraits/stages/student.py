"""The student G_DT: learns from the frozen teacher to draw a fixed list of avatars, cross-driven only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import default_collate

from avatarkit.devices import constant
from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.losses.pixel import pixel_loss
from avatarkit.systems.megaportraits.base import SourceCode
from avatarkit.systems.megaportraits.stages.config import StudentTrain
from avatarkit.systems.megaportraits.stages.drive import Teacher, encode, joined, rows
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.training.augment.pairs import augment_pair
from avatarkit.training.figures import face_mask, l1, psnr_db
from avatarkit.training.seeds import derive, sample_seeds
from avatarkit.training.sources import Frame
from avatarkit.training.stage import Batch, Columns, Outcome, Stage

AT_ONCE = 4
"""Avatars encoded together before the training."""


class StudentStage(Stage):
    """Trains G_DT to give what the teacher gives for an avatar and a driver of another person.

    Args:
        config: of the training. student: the net. teacher: frozen. perceptual: the terms of frozen nets.
        adversary: None where its weights are 0. avatars: a frame of each, uint8, in the order of their indices.
        identities: of the avatars. people: identity of each clip of the data, by clip number.
    """

    best = ("teacher_face_psnr_db", True)
    person_of_avatar: Tensor
    person_of_clip: Tensor

    def __init__(
        self,
        config: StudentTrain,
        student: nn.Module,
        teacher: Teacher,
        perceptual: Perceptual,
        adversary: AdversarialLoss | None,
        avatars: Sequence[Frame],
        identities: Sequence[str],
        people: Sequence[str],
    ) -> None:
        super().__init__({"student": student}, adversary)
        self.teacher = teacher
        self.perceptual = perceptual
        self._config = config
        self._avatars = avatars
        numbers = {name: number for number, name in enumerate({*identities, *people})}
        for kind, names in (("avatar", identities), ("clip", people)):
            owners = torch.tensor([numbers[name] for name in names])
            self.register_buffer(f"person_of_{kind}", owners, persistent=False)
        self._sources: SourceCode | None = None

    def forward(self, batch: Batch) -> Outcome:
        """Losses against the teacher's pictures; they have no background to leave out."""
        shown = prepared(batch)
        if self._config.augment:
            shown = augment_pair(shown, sample_seeds(self._config.seed, batch["positions"], "pair"))
        avatar, driver = self._cross(shown, batch["positions"])
        drawn = self.nets["student"](driver["image"], avatar)
        target = self._target(avatar, driver, drawn.shape[-1])
        everything = torch.ones_like(target[:, :1])
        terms = self.perceptual(drawn, target, everything, driver["landmarks"])
        if self._config.loss.pixel:
            terms["pixel"] = pixel_loss(drawn, target, everything)
        fakes = {"": (drawn, target)} if self.adversary is not None else {}
        return {"terms": terms, "fakes": fakes}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """Avatar, driver, teacher, student, and the student as the next avatar."""
        avatar, driver = self._cross(prepared(batch), batch["positions"])
        drawn = nets["student"](driver["image"], avatar)
        size = drawn.shape[-1]
        following = (avatar + 1) % len(self._avatars)
        shown = torch.stack([torch.as_tensor(self._avatars[number]["image"]) for number in avatar.tolist()])
        return {
            "avatar": shown.to(drawn.device).float() / 255,
            "driver": driver["image"],
            "teacher": self._target(avatar, driver, size),
            "student": drawn,
            "next: teacher": self._target(following, driver, size),
            "next: student": nets["student"](driver["image"], following),
        }

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Nearness to the teacher, over all of the picture and within the driver's face."""
        avatar, driver = self._cross(prepared(batch), batch["positions"])
        drawn = nets["student"](driver["image"], avatar)
        target = self._target(avatar, driver, drawn.shape[-1])
        face = face_mask(driver["landmarks"], *driver["image"].shape[-2:])
        face = F.interpolate(face, size=target.shape[-2:], mode="area")
        return {
            "teacher_psnr_db": psnr_db(drawn, target),
            "teacher_face_psnr_db": psnr_db(drawn, target, face),
            "l1": l1(drawn, target),
        }

    def _cross(self, shown: Mapping[str, Any], positions: Sequence[int]) -> tuple[Tensor, dict[str, Any]]:
        """An avatar for each sample, and that of its two drivers that shows another person."""
        drawn = [derive(self._config.seed, "avatar", position) % len(self._avatars) for position in positions]
        avatar = constant(drawn, shown["clip"])
        swap = self.person_of_clip[shown["clip"]] == self.person_of_avatar[avatar]
        driver = {
            key: torch.where(swap.view(-1, *[1] * (value.dim() - 1)), shown["other_driver"][key], value)
            for key, value in shown["driver"].items()
        }
        return avatar, driver

    @torch.no_grad()
    def _target(self, avatar: Tensor, driver: Mapping[str, Any], size: int) -> Tensor:
        """The teacher's picture at the student's size."""
        drawn = self.teacher.drive_code(rows(self._encoded(driver["image"]), avatar), driver)
        return drawn if drawn.shape[-1] == size else F.interpolate(drawn, size=(size, size), mode="area")

    def once(self, like: Tensor) -> Mapping[str, Tensor]:
        """The avatars as the teacher encodes them."""
        return vars(self._encoded(like))

    @torch.no_grad()
    def _encoded(self, like: Tensor) -> SourceCode:
        """All avatars through the part of the teacher that no driver changes: once, since it is frozen."""
        if self._sources is not None:
            return self._sources
        keys = ("image", "matte", "head")
        codes = []
        for first in range(0, len(self._avatars), AT_ONCE):
            some = [{key: frame[key] for key in keys} for frame in self._avatars[first : first + AT_ONCE]]
            frames = {key: value.to(like) for key, value in prepared(default_collate(some)).items()}
            codes.append(encode(self.teacher.base, frames))
        self._sources = joined(codes)
        return self._sources
