"""A sealed shard: its HDF5 file, and beside it a json with its hash and counts, whose presence means done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarkit.atomic import sync_file, sync_folder, write_json
from avatarkit.data.clip import FRAME_RATE, SPLITS, ClipInfo, Rejected, Split
from avatarkit.errors import InputError
from avatarkit.reading import (
    check_id,
    check_list,
    check_number,
    check_shard_name,
    check_text,
    check_whole,
    is_shard_name,
    read_json,
)
from avatarkit.runtime import sha256_file

FOLDER = "shards"
SHARD_COUNTS = ("bytes", "clips", "frames")
"""Fields of a shard's record that count something."""
_FORMAT, _VERSION = "avatarkit-shard-counts", 1


@dataclass(frozen=True)
class ShardStats:
    """What a shard holds; `people` are the identities of its clips, sorted. Nothing in it depends on the run."""

    name: str
    split: Split
    sha256: str
    bytes: int
    clips: int
    frames: int
    seconds: float
    people: tuple[str, ...]
    rejected: tuple[Rejected, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(self)}


def shard_name(split: Split, number: int) -> str:
    """The name of a split's shard, such as train-00000."""
    return f"{split}-{number:05d}"


def shard_path(dataset: Path, name: str) -> Path:
    """Where a shard lies; InputError where it is no shard's name."""
    return dataset / FOLDER / f"{check_shard_name(name)}.h5"


def stats_path(dataset: Path, name: str) -> Path:
    """Where a shard's counts lie; InputError where it is no shard's name."""
    return dataset / FOLDER / f"{check_shard_name(name)}.json"


def split_of(name: str) -> Split:
    """The split that a shard's name begins with; raises InputError where it is no shard's name."""
    check_shard_name(name)
    return next(split for split in SPLITS if name.startswith(f"{split}-"))


def check_split(name: str, split: str) -> None:
    """Raise InputError unless `name` is that of a shard of this split."""
    if split_of(name) != split:
        raise InputError(f"shard {name}: is not of split {str(split)[:40]!r}")


def count_shard(name: str, file: Path, clips: Sequence[ClipInfo], rejected: Iterable[Rejected]) -> ShardStats:
    """Hash a finished shard file and count what is in it."""
    return ShardStats(
        name=name,
        split=split_of(name),
        sha256=sha256_file(file),
        bytes=file.stat().st_size,
        clips=len(clips),
        frames=sum(info.frames for info in clips),
        seconds=sum(info.frames for info in clips if info.frames > 1) / FRAME_RATE,
        people=tuple(sorted({info.identity for info in clips})),
        rejected=tuple(rejected),
    )


def seal_shard(
    dataset: Path, name: str, temporary: Path, clips: Sequence[ClipInfo], rejected: Iterable[Rejected] = ()
) -> ShardStats:
    """Give a written shard its name, then write its counts, which mark it as done.

    Args:
        dataset: the dataset's folder.
        name: as `shard_name`.
        temporary: the closed shard, in the same folder as the final one or on the same file system.
        clips: what it holds. rejected: what was meant for it and refused.
    """
    stats = count_shard(name, temporary, clips, rejected)
    sync_file(temporary)
    temporary.replace(shard_path(dataset, name))
    sync_folder(dataset / FOLDER)
    write_json(stats_path(dataset, name), stats.to_json())
    return stats


def read_stats(dataset: Path, name: str) -> ShardStats | None:
    """Counts of a sealed shard; None where it is not sealed.

    Raises:
        InputError: the counts are damaged or of an unknown version.
    """
    path = stats_path(dataset, name)
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    if (values.pop("format", None), values.pop("version", None)) != (_FORMAT, _VERSION):
        raise InputError(f"{path}: is of another version of the program; this one reads {_FORMAT} {_VERSION}")
    try:
        rejected = tuple(Rejected.from_json(entry) for entry in check_list(values.pop("rejected"), "rejected"))
        people = tuple(check_id(person, "person") for person in check_list(values["people"], "people"))
        stats = ShardStats(**{**values, "people": people}, rejected=rejected)
        if stats.name != name:
            raise ValueError(f"it is of shard {check_text(stats.name, 'name')!r}")
        check_split(name, stats.split)
        check_text(stats.sha256, "sha256", 64)
        check_number(stats.seconds, "seconds")
        for count in SHARD_COUNTS:
            check_whole(getattr(stats, count), count)
        return stats
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(f"{path}: is damaged: {error}") from error


def sealed_shards(dataset: Path) -> list[str]:
    """Names of the sealed shards, sorted."""
    return sorted(path.stem for path in (dataset / FOLDER).glob("*.json") if is_shard_name(path.stem))
