"""What is asked for by `personalize`, and what is refused before any work is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avatarkit.errors import InputError, UsageError
from avatarkit.face.types import FaceChoice
from avatarkit.media.output import check_distinct, check_output
from avatarkit.media.probe import probe
from avatarkit.pipelines.driver import DriverPart
from avatarkit.systems.refined_warp import SUFFIX, is_avatar

LEAST_SECONDS = 10.0
USUAL_SECONDS = 20.0
"""Footage shorter than this is used with a warning; a minute holds most of what a face does."""
USUAL_MINUTES = 20.0


@dataclass(frozen=True)
class PersonalizeConfig:
    """One personal avatar.

    footage: videos of one person. output: the avatar's file. consent: whether the person agreed, which is asked and
    recorded. minutes: of learning, at most. part: of every video that is used. face: which person is meant.
    overwrite: replace an avatar that exists. seed: of everything drawn by lot. checkpoint: or run, of a trained
    portrait that is adapted to the person; None learns from nothing, over the warp.
    """

    footage: tuple[Path, ...]
    output: Path
    consent: bool
    minutes: float = USUAL_MINUTES
    part: DriverPart = field(default_factory=DriverPart)
    face: FaceChoice = field(default_factory=FaceChoice)
    tracker: str = "auto"
    matting: str = "auto"
    overwrite: bool = False
    seed: int = 0
    checkpoint: Path | None = None

    @property
    def work(self) -> Path:
        """Where what is not finished is kept."""
        return self.output.with_name(f".{self.output.name}.work")


def checked(config: PersonalizeConfig) -> None:
    """Refuse what cannot work.

    Raises:
        UsageError: no consent, or options out of range. InputError: footage that is none. OutputError: a place that
            cannot be written.
    """
    if not config.consent:
        raise UsageError(
            "personalize: makes a likeness that others can move; ask the person shown, and confirm with --consent that"
            " he or she agreed (it is recorded in the avatar and in what is made with it)"
        )
    if not config.footage:
        raise UsageError("personalize: give one or more videos of the person")
    if not is_avatar(config.output):
        raise UsageError(f"-o {config.output}: name an avatar, such as me{SUFFIX}")
    if not 0.0 < config.minutes <= 24 * 60:
        raise UsageError(f"--minutes {config.minutes:g}: use minutes above 0, at most a day")
    check_distinct(config.output, config.footage)
    check_output(config.output, overwrite=config.overwrite)
    for path in config.footage:
        if probe(path).kind == "image":
            raise InputError(
                f"{path}: is one picture; what teeth, lids and hidden sides look like is learned from footage: give a"
                f" video of {USUAL_SECONDS:.0f} seconds or more, or reenact the picture itself"
            )
