"""Which avatars a student learns to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from avatarkit.errors import UsageError
from avatarkit.systems.megaportraits.stages.config import StudentTrain
from avatarkit.training.sources import TrainData

DEFAULT_AVATARS = 100
"""Of the student where --avatars is not given and the data has as many people: the paper's."""
MOST_AVATARS = 10_000
"""A number that is larger is taken for a slip of the pen."""


def with_avatars(config: StudentTrain, options: Mapping[str, str], data: TrainData | None) -> StudentTrain:
    """The configuration with its avatars as clip ids; see `choose_avatars`.

    Without data (`--dry-run`) there are as many names as the training would have avatars, had its data people enough.
    """
    wanted = options.get("avatars")
    if data is not None:
        return replace(config, avatars=choose_avatars(wanted, config.avatars, data))
    asked = read_avatars(wanted) if wanted is not None else config.avatars or DEFAULT_AVATARS
    names = asked if isinstance(asked, tuple) else tuple(f"avatar-{number}" for number in range(asked))
    return replace(config, avatars=names)


def choose_avatars(wanted: str | None, configured: Sequence[str], data: TrainData) -> tuple[str, ...]:
    """The student's avatars as clip ids: those named, or the first clip of each of so many people.

    Args:
        wanted: as `read_avatars` takes it; None takes `configured`, or 100 people, or all where there are fewer.

    Raises:
        UsageError: no such clip, none at all, or fewer people than asked for.
    """
    known = dict(data.clips)
    asked = read_avatars(wanted) if wanted is not None else tuple(configured)
    if isinstance(asked, int):
        people = _one_each(data)
        if asked > len(people):
            raise UsageError(f"--avatars {asked}: the training split has {len(people)} people; give at most as many")
        return people[:asked]
    missing = [clip for clip in asked if clip not in known]
    if missing:
        raise UsageError(
            f"--avatars: the training split has no clip {', '.join(missing[:3])}; see avatarkit data report"
        )
    return asked or _one_each(data)[:DEFAULT_AVATARS]


def read_avatars(wanted: str) -> int | tuple[str, ...]:
    """What --avatars says: a number of people such as "100", or clip ids with commas between.

    Raises:
        UsageError: it says neither, or a number that nobody means.
    """
    if wanted.isascii() and wanted.isdigit():
        count = int(wanted[:20])
        if not 1 <= count <= MOST_AVATARS:
            raise UsageError(f"--avatars {wanted[:20]}: give a number from 1 to {MOST_AVATARS}, or clip ids")
        return count
    result = tuple(dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()))
    if not result:
        raise UsageError("--avatars: give a number from 1 on, or clip ids with commas between")
    return result


def _one_each(data: TrainData) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for clip, identity in data.clips:
        first.setdefault(identity, clip)
    return tuple(first.values())


