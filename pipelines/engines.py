"""Which engine draws: by its name, or by the checkpoints that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from avatarkit.errors import InputError, UsageError
from avatarkit.motion.config import MotionConfig
from avatarkit.systems.refined_warp import is_avatar
from avatarkit.systems.registry import EngineInfo, engines, loaded

if TYPE_CHECKING:
    from avatarkit.checkpoint import Checkpoint
    from avatarkit.pipelines.reenact_config import ReenactConfig
    from avatarkit.systems.protocol import Engine

AUTO = "auto"
WARP = "warp"
EXPORTED = "onnx"
"""Stands for the stage of an exported file."""
AVATAR = "avatar"
"""Stands for that of a personal avatar, and names its engine."""

Given: TypeAlias = "Mapping[str, Checkpoint | Path]"


def given_checkpoints(paths: tuple[Path, ...]) -> dict[str, Checkpoint | Path]:
    """What the paths hold, by the stage that made it; exported files under `EXPORTED`.

    Raises:
        InputError: no checkpoint, a damaged one, or one of another version. UsageError: two of one stage.
    """
    result: dict[str, Checkpoint | Path] = {}
    for path in paths:
        stage, opened = EXPORTED, path
        if path.suffix.lower() != f".{EXPORTED}":
            from avatarkit.checkpoint import open_checkpoint

            checkpoint = open_checkpoint(path)
            stage, opened = checkpoint.meta.stage, checkpoint  # type: ignore[assignment]
        elif not path.is_file():
            raise InputError(f"{path}: no such file")
        if stage in result:
            raise UsageError(f"--checkpoint {path}: another one of train {stage} is given already; give one of each")
        result[stage] = opened
    return result


def checkpoint_hashes(given: Given, digest: Callable[[Path], str]) -> dict[str, str]:
    """SHA-256 that stands for each checkpoint or exported file, by stage; `digest` gives a file's."""
    return {stage: digest(item) if isinstance(item, Path) else item.sha256 for stage, item in given.items()}


def given_for(config: ReenactConfig) -> dict[str, Checkpoint | Path]:
    """The checkpoints of a reenactment; an avatar in the source's place brings its own, unless the warp is asked for.

    Raises as `given_checkpoints`.
    """
    result = given_checkpoints(config.checkpoint)
    if config.source is not None and is_avatar(config.source) and config.engine in (AUTO, AVATAR):
        result[AVATAR] = config.source
    return result


def consent_of(avatar: Path) -> str:
    """What an avatar's file records of the consent of the person shown."""
    from avatarkit.systems.avatar_file import read_about

    return str(read_about(avatar).get("consent", ""))


def choose_engine(name: str, given: Given) -> EngineInfo:
    """The engine of that name, or for "auto" the one that takes the checkpoints.

    Raises:
        UsageError: no such engine, or checkpoints that no engine takes together.
        InputError: a checkpoint that the engine does not take.
    """
    known = engines()
    if name == AUTO:
        if not given:
            return known[WARP]
        for info in known.values():
            needed = {*info.checkpoints[:1], *info.instead, EXPORTED}
            if set(given) <= set(info.checkpoints) and needed & set(given):
                return info
        takes = "; ".join(
            f"{info.name}: {', '.join(info.checkpoints)}" for info in known.values() if info.checkpoints
        )
        raise UsageError(f"--checkpoint: no engine draws with checkpoints of {', '.join(given)} ({takes})")
    if name not in known:
        raise UsageError(f"--engine {name}: use auto, {', '.join(known)}")
    info = known[name]
    for stage, checkpoint in given.items():
        if stage not in info.checkpoints:
            where = checkpoint if isinstance(checkpoint, Path) else checkpoint.folder
            takes = f"takes those of {', '.join(info.checkpoints)}" if info.checkpoints else "takes none"
            raise InputError(f"{where}: is a checkpoint of {stage}, and --engine {name} {takes}")
    return info


def check_engine(info: EngineInfo, config: ReenactConfig, driver_kind: str | None) -> None:
    """Raise UsageError or InputError for options that the engine cannot follow.

    Args:
        driver_kind: "video", "image" or "motion"; None without a driver.
    """
    region = config.motion.region
    if config.source is None and info.source:
        raise UsageError(f"--engine {info.name}: give a portrait and a driver, in this order")
    if not info.checkpoints:
        networks = {"--avatar": config.avatar, "--compile": config.compile, "--precision": config.precision != AUTO}
        for option, used in networks.items():
            if used:
                raise UsageError(f"{option}: --engine {info.name} has no networks; give --checkpoint")
    if not info.pixels:
        return
    if region in ("eyes", "mouth"):
        raise UsageError(
            f"--region {region}: --engine {info.name} has one expression for the whole face; use all, pose, expression"
        )
    if driver_kind == "motion" and (region != "pose" or not info.source):
        assert config.driver is not None
        raise InputError(
            f"{config.driver}: is a motion file and holds no pictures, and --engine {info.name} looks at the driver's;"
            " give the video, or use --engine warp"
        )
    if not info.source:
        plain = replace(config.motion, mode="relative", reference_frame="auto")
        if plain != MotionConfig() or config.turntable is not None:
            raise UsageError(
                f"--engine {info.name} draws what the driver's picture shows, head and all: leave out the options of"
                " motion, or draw with a base model"
            )
        if config.paste_back:
            raise UsageError(f"--paste-back: --engine {info.name} draws no source")


def open_engine(info: EngineInfo, given: Given, config: ReenactConfig) -> Engine:
    """The engine, its networks on their device; errors as its own `open` function's."""
    from avatarkit.systems.options import EngineOptions

    engine: Engine = loaded(info.open)(
        EngineOptions(
            checkpoints={stage: item for stage, item in given.items() if not isinstance(item, Path)},
            exported=next((item for item in given.values() if isinstance(item, Path)), None),
            avatar=config.avatar,
            device=config.device,
            precision=config.precision,
            compile=config.compile,
        )
    )
    return engine
