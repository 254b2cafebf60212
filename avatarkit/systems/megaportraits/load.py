"""Networks out of checkpoints: built as the checkpoint says that they were, and filled with its average weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError
from avatarkit.nets.trained import config_of, trained
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.config import (
    BaseConfig,
    EnhancerConfig,
    GazeConfig,
    PoseConfig,
    StudentConfig,
)
from avatarkit.systems.megaportraits.enhancer import Enhancer
from avatarkit.systems.megaportraits.pose import PoseNet
from avatarkit.systems.megaportraits.student import Student

__all__ = ["avatars_of", "load_base", "load_enhancer", "load_pose", "load_student", "net_config"]

Net = TypeVar("Net", bound=nn.Module)

CONFIGS: Mapping[str, type[Any]] = {
    "base": BaseConfig,
    "enhancer": EnhancerConfig,
    "student": StudentConfig,
    "gaze": GazeConfig,
    "pose": PoseConfig,
}
"""Of each net, by its name in checkpoints."""


def net_config(checkpoint: Checkpoint, name: str) -> Any:
    """The configuration of a net, one of `CONFIGS`, as the checkpoint holds it.

    Raises:
        InputError: the checkpoint has no such net, or its configuration is damaged or of another version.
    """
    return config_of(checkpoint, name, CONFIGS[name])


def load_base(checkpoint: Checkpoint) -> Base:
    """The base model with its average weights, frozen; InputError where the checkpoint does not hold one."""
    return _filled(checkpoint, "base", lambda config: build.build_base(config, 0))


def load_enhancer(checkpoint: Checkpoint) -> Enhancer:
    """The enhancer; as `load_base`."""
    return _filled(checkpoint, "enhancer", lambda config: build.build_enhancer(config, 0))


def load_student(checkpoint: Checkpoint) -> Student:
    """The student with all its avatars; as `load_base`."""
    avatars = len(avatars_of(checkpoint))
    return _filled(checkpoint, "student", lambda config: build.build_student(config, avatars, 0))


def load_pose(checkpoint: Checkpoint) -> PoseNet:
    """The head-pose net; as `load_base`."""
    return _filled(checkpoint, "pose", lambda config: build.build_pose_net(config, 0))


def avatars_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The names of a student's avatars, the clips that they were taken from, in the order of their indices."""
    names = checkpoint.meta.config.get("avatars")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{checkpoint.folder}: holds no list of avatars; use a checkpoint of avatarkit train student")
    return tuple(names)


def _filled(checkpoint: Checkpoint, name: str, make: Callable[[Any], Net]) -> Net:
    return trained(checkpoint, name, net_config(checkpoint, name), make)
