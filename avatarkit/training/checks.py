"""What is refused before the first step: data and parents that the stage cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avatarkit.checkpoint import Checkpoint
from avatarkit.data.samples import DataKind
from avatarkit.errors import InputError, UsageError
from avatarkit.training.config import TrainConfig
from avatarkit.training.resolve import flat

KINDS: Mapping[DataKind, str] = {
    "videos": "videos (avatarkit prepare-data videos or voxceleb2)",
    "photos": "photos (avatarkit prepare-data ffhq)",
}


def check_parent(parent: Checkpoint, stage: str, sizes: Mapping[str, int], option: str, preset: str) -> None:
    """Raise InputError where a checkpoint is of another stage, or its nets draw pictures of another size.

    Args:
        sizes: of the pictures of its nets that the preset takes, pixels. option: that named it, such as "--base".
    """
    meta = parent.meta
    if meta.stage != stage:
        raise InputError(f"{option} {parent.folder}: is a checkpoint of train {meta.stage}, not of train {stage}")
    for name, wanted in sizes.items():
        config = meta.nets.get(name, {}).get("config", {})
        size = config.get("size") if isinstance(config, Mapping) else None
        if size != wanted:
            raise InputError(
                f"{option} {parent.folder}: its net {name} was built for --preset {meta.preset}, which does not fit"
                f" --preset {preset}: size is {size}, not {wanted}; use a preset of the same size"
            )


def check_same_parent(child: Checkpoint, option: str, parent_option: str, parent: Checkpoint) -> None:
    """Raise InputError where a checkpoint builds on another one than that which is given beside it.

    Args:
        child, option: such as the enhancer and "enhancer". parent_option, parent: such as "base" and the base model.
    """
    known = child.meta.parents.get(parent_option)
    if known != parent.sha256:
        raise InputError(
            f"--{option} {child.folder}: was trained on another checkpoint than --{parent_option} {parent.folder}"
            f" (meta.json {str(known)[:12]}, not {parent.sha256[:12]}); give the one that it was trained on, or train"
            f" the {option} anew on this one"
        )


def check_same_run(
    found: Checkpoint, config: TrainConfig, saved: TrainConfig, data: Mapping[str, Any], parents: Mapping[str, str]
) -> None:
    """Raise UsageError where a run's newest checkpoint was trained otherwise than asked now.

    Args:
        found: of the same stage. saved: the checkpoint's configuration. data: as `TrainData.described`.
        parents: hashes by option.
    """
    run = found.folder.parent.parent
    now, before = flat(asdict(config)), flat(asdict(saved))
    changed = [key for key in now if now[key] != before[key] and key.split(".")[0] not in MAY_CHANGE]
    if changed:
        reported = ", ".join(f"{key} was {before[key]} and is now {now[key]}" for key in changed)
        raise UsageError(f"--output {run}: cannot go on with other settings: {reported}; choose another folder")
    _check_data(run, found.meta.dataset, data)
    if found.meta.parents != parents:
        raise UsageError(f"--output {run}: builds on other checkpoints than those given now; choose another folder")


MAY_CHANGE = frozenset(
    {
        "steps", "accumulation", "checkpointing", "log_every", "pictures_every", "checkpoint_every",
        "milestone_every", "validate_every", "validation_samples", "keep", "compile", "track",
    }
)  # fmt: skip
"""Keys that a resumed run may change: none of them makes the steps done so far those of another training."""


def _check_data(run: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if before.get("sha256") == now["sha256"]:
        return
    counts = f"{before.get('clips', 'unknown')} clips then, {now.get('clips', 'unknown')} now"
    if before.get("manifest") != now.get("manifest"):
        raise UsageError(
            f"--output {run}: was trained on another dataset than --data, or what it holds has changed since, as by"
            f" avatarkit data remove ({counts}); choose another folder"
        )
    raise UsageError(
        f"--output {run}: the dataset's selection has changed ({counts}); select again as before"
        f" (avatarkit data reselect{_rule_options(before)}), or choose another folder"
    )


def _rule_options(data: Mapping[str, Any]) -> str:
    """The options of `data reselect` that made a selection."""
    rule = data.get("selection")
    if not isinstance(rule, Mapping):
        return ""
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in rule.items() if name != "scorer")
