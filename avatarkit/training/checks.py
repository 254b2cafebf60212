"""What is refused before the first step: data and parents that the stage cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatarkit.errors import InputError, UsageError
from avatarkit.training.checkpoint import Checkpoint
from avatarkit.training.config import TrainConfig
from avatarkit.training.stage import DataKind

KINDS: Mapping[DataKind, str] = {
    "videos": "videos (avatarkit prepare-data videos, or one of the video sets)",
    "photos": "photos (avatarkit prepare-data photos, or one of the photo sets)",
}


def check_parent(parent: Checkpoint, stage: str, nets: Mapping[str, Any], option: str, preset: str) -> None:
    """Raise InputError where a checkpoint is of another stage, or its nets are not those of the preset.

    Args:
        nets: the configurations that this program builds for the preset, by net, as plain values.
        option: that named the checkpoint, such as "--base".
    """
    meta = parent.meta
    if meta.stage != stage:
        raise InputError(f"{option} {parent.folder}: is a checkpoint of train {meta.stage}, not of train {stage}")
    for name, wanted in nets.items():
        found = meta.nets.get(name, {}).get("config")
        if found != wanted:
            raise InputError(
                f"{option} {parent.folder}: its net {name} was built for --preset {meta.preset}, which does not fit"
                f" --preset {preset}: {_difference(found, wanted)}; use the same preset for both"
            )


def check_same_run(
    found: Checkpoint, config: TrainConfig, saved: TrainConfig, sha256: str, parents: Mapping[str, str]
) -> None:
    """Raise UsageError where a run's newest checkpoint was trained otherwise than asked now."""
    from dataclasses import asdict

    from avatarkit.training.resolve import flat

    run = found.folder.parent.parent
    if found.meta.stage != config.stage:
        raise UsageError(f"--out {run}: holds a run of train {found.meta.stage}; choose another folder")
    now, before = flat(asdict(config)), flat(asdict(saved))
    changed = [key for key in now if now[key] != before[key] and key.split(".")[0] not in MAY_CHANGE]
    if changed:
        told = ", ".join(f"{key} was {before[key]} and is now {now[key]}" for key in changed)
        raise UsageError(f"--out {run}: cannot go on with other settings: {told}; choose another folder")
    if found.meta.dataset.get("sha256") != sha256:
        raise UsageError(f"--out {run}: was trained on another dataset, or it has changed; choose another folder")
    if found.meta.parents != parents:
        raise UsageError(f"--out {run}: builds on other checkpoints than those given now; choose another folder")


MAY_CHANGE = frozenset(
    {
        "steps", "accumulation", "checkpointing", "log_every", "pictures_every", "checkpoint_every",
        "milestone_every", "validate_every", "validation_samples", "keep",
    }
)  # fmt: skip
"""Keys that a resumed run may change: none of them makes the steps done so far those of another training."""


def _difference(found: Any, wanted: Mapping[str, Any]) -> str:
    if not isinstance(found, Mapping):
        return "it has none of this name"
    keys = [key for key in wanted if found.get(key) != wanted[key]] or [key for key in found if key not in wanted]
    return ", ".join(f"{key} is {found.get(key)}, not {wanted.get(key)}" for key in keys[:3])
