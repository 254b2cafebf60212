"""Networks from a configuration and a seed: equal seeds give equal weights, and torch's own generator is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from avatarkit.nets.discriminator import Discriminator, DiscriminatorConfig
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.config import (
    BaseConfig,
    EnhancerConfig,
    GazeConfig,
    PoseConfig,
    StudentConfig,
)
from avatarkit.systems.megaportraits.enhancer import Enhancer
from avatarkit.systems.megaportraits.gaze import GazeNet
from avatarkit.systems.megaportraits.pose import PoseNet
from avatarkit.systems.megaportraits.student import Student

__all__ = [
    "build_base", "build_discriminator", "build_enhancer", "build_gaze_net", "build_pose_net", "build_student",
]  # fmt: skip

Net = TypeVar("Net", bound=nn.Module)


def build_base(config: BaseConfig, seed: int) -> Base:
    """The base model G_base; UsageError for sizes that do not go together."""
    return _seeded(lambda: Base(config), seed)


def build_enhancer(config: EnhancerConfig, seed: int) -> Enhancer:
    """The enhancer G_enh; UsageError for sizes that do not go together."""
    return _seeded(lambda: Enhancer(config), seed)


def build_student(config: StudentConfig, avatars: int, seed: int) -> Student:
    """The student G_DT for a number of avatars; UsageError for sizes that do not go together."""
    return _seeded(lambda: Student(config, avatars), seed)


def build_discriminator(config: DiscriminatorConfig, seed: int) -> Discriminator:
    """A multi-scale patch discriminator."""
    return _seeded(lambda: Discriminator(config), seed)


def build_gaze_net(config: GazeConfig, seed: int) -> GazeNet:
    """The gaze and blink net; UsageError for crops that are too small."""
    return _seeded(lambda: GazeNet(config), seed)


def build_pose_net(config: PoseConfig, seed: int) -> PoseNet:
    """The head-pose net."""
    return _seeded(lambda: PoseNet(config), seed)


def _seeded(make: Callable[[], Net], seed: int) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
