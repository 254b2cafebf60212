"""What every engine is opened with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatarkit.checkpoint import Checkpoint


@dataclass(frozen=True)
class EngineOptions:
    """Options of engines.

    checkpoints: by the stage that made them. exported: a file of `avatarkit export`. avatar: whom a student draws.
    device: "auto", "cpu", "cuda" or "mps". precision: "auto", "fp32", "bf16" or "fp16".
    compile: translate the networks for this device first.
    """

    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    exported: Path | None = None
    avatar: str | None = None
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
