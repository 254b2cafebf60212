"""Which systems there are: what each trains, and which engines it has. Nothing heavy is imported before it is used.

A system is a folder below this one. Its package says in `SYSTEM` what it offers; one line here makes it known.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from avatarkit.errors import UsageError

if TYPE_CHECKING:
    from avatarkit.training.recipe import Recipe

SYSTEMS: Mapping[str, str] = {
    "landmark-warp": "avatarkit.systems.landmark_warp:SYSTEM",
    "megaportraits": "avatarkit.systems.megaportraits:SYSTEM",
    "metaportrait": "avatarkit.systems.metaportrait:SYSTEM",
    "refined-warp": "avatarkit.systems.refined_warp:SYSTEM",
}
"""Systems by name, and where each one's `SYSTEM` is."""


@dataclass(frozen=True)
class StageInfo:
    """A stage of training, as the command line shows it.

    name: what follows `avatarkit train`: SYSTEM/STAGE; MegaPortraits' have short ones.
    recipe: "module:name" of its `Recipe`. presets: names, largest first; default: the one taken without --preset.
    checkpoints: help of each option that takes another stage's checkpoint. options: (metavar, help) of its own options.
    """

    name: str
    help: str
    recipe: str
    presets: tuple[str, ...]
    default: str
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.default not in self.presets:
            raise UsageError(f"stage {self.name}: its default preset {self.default} is not one of its presets")


@dataclass(frozen=True)
class EngineInfo:
    """What draws.

    open: "module:function" that opens it with `options.EngineOptions`. checkpoints: the stages whose checkpoints it
    takes, the one that it needs first; "onnx" for an exported file. instead: of those, the ones that may stand in the
    first one's place. pixels: whether it looks at the driver's pictures,
    which a motion file has not. source: whether it needs a source picture.
    """

    name: str
    help: str
    open: str
    checkpoints: tuple[str, ...] = ()
    pixels: bool = False
    source: bool = True
    instead: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """What a published system offers.

    avatar: "module:function" that opens a personal avatar of it, from the file's name, its net
    (`avatar_file.StoredNet`) and `options.EngineOptions`; "" where it makes none.
    """

    stages: tuple[StageInfo, ...] = ()
    engines: tuple[EngineInfo, ...] = ()
    avatar: str = ""


def systems() -> dict[str, System]:
    """All systems by name."""
    return {name: loaded(place) for name, place in SYSTEMS.items()}


def stages() -> dict[str, StageInfo]:
    """All stages by name, in the systems' order."""
    return {stage.name: stage for system in systems().values() for stage in system.stages}


def engines() -> dict[str, EngineInfo]:
    """All engines by name."""
    return {engine.name: engine for system in systems().values() for engine in system.engines}


def stage(name: str) -> StageInfo:
    """A stage by name; UsageError, with the nearest one, where there is none."""
    known = stages()
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"train {name}: there is no such stage; {hint}they are {', '.join(known)}")
    return known[name]


def recipe(name: str) -> Recipe:
    """How a stage is made; UsageError where there is no such stage."""
    made: Recipe = loaded(stage(name).recipe)
    return made


def loaded(place: str) -> Any:
    """The object at "module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
