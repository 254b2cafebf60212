"""The manifest: what a finished dataset consists of. It is written last, so its presence means done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from avatarkit.atomic import write_json
from avatarkit.data.clip import SPLITS, Split
from avatarkit.data.shard import SHARD_COUNTS, ShardStats, check_split
from avatarkit.errors import InputError
from avatarkit.reading import check_list, check_number, check_table, check_text, check_whole, read_json
from avatarkit.runtime import sha256_file

FORMAT, VERSION, NAME = "avatarkit-dataset", 1, "manifest.json"
Kind = Literal["videos", "photos"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LARGEST_SIZE = 8192
"""Side of a stored frame in pixels."""


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the manifest knows it."""

    name: str
    split: Split
    sha256: str
    bytes: int
    clips: int
    frames: int


@dataclass(frozen=True)
class Totals:
    """Sums of one split; `rejected` counts clips, videos and photos that were refused."""

    clips: int = 0
    frames: int = 0
    seconds: float = 0.0
    people: int = 0
    bytes: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Manifest:
    """What a dataset consists of and what made it.

    kind: "videos" or "photos". size: side of the stored frames in pixels. plan_hash, config_hash: of the plan and the
    settings that it was made by. config: the settings. tools: names and versions of programs, and weight hashes of
    networks.
    """

    kind: Kind
    size: int
    plan_hash: str
    config_hash: str
    config: dict[str, Any]
    tools: dict[str, str]
    shards: tuple[ShardEntry, ...]
    totals: dict[Split, Totals]

    @property
    def unit(self) -> str:
        """What progress counts in it: "photos" or "frames"."""
        return "photos" if self.kind == "photos" else "frames"

    def to_json(self) -> dict[str, Any]:
        """Plain values, with format and version."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}


def summed(stats: Sequence[ShardStats]) -> dict[Split, Totals]:
    """Totals of each split that has shards."""
    result: dict[Split, Totals] = {}
    for split in SPLITS:
        mine = [item for item in stats if item.split == split]
        if mine:
            result[split] = Totals(
                clips=sum(item.clips for item in mine),
                frames=sum(item.frames for item in mine),
                seconds=round(sum(item.seconds for item in mine), 3),
                people=len(set().union(*(item.people for item in mine))),
                bytes=sum(item.bytes for item in mine),
                rejected=sum(len(item.rejected) for item in mine),
            )
    return result


def write_manifest(
    dataset: Path,
    stats: Iterable[ShardStats],
    *,
    kind: Kind,
    size: int,
    plan_hash: str,
    config_hash: str,
    config: Mapping[str, Any],
    tools: Mapping[str, str],
) -> Manifest:
    """Write the manifest of sealed shards; the order in which they are given does not matter."""
    ordered = sorted(stats, key=lambda one: one.name)
    fields = [field.name for field in dataclasses.fields(ShardEntry)]
    manifest = Manifest(
        kind=kind,
        size=size,
        plan_hash=plan_hash,
        config_hash=config_hash,
        config=dict(config),
        tools=dict(sorted(tools.items())),
        shards=tuple(ShardEntry(**{name: getattr(one, name) for name in fields}) for one in ordered),
        totals=summed(ordered),
    )
    write_json(dataset / NAME, manifest.to_json())
    return manifest


def read_manifest(dataset: Path) -> Manifest:
    """The manifest of a finished dataset.

    Raises:
        InputError: no such folder, not finished, not a dataset, damaged, or of an unknown version.
    """
    path = dataset / NAME
    if not dataset.is_dir():
        what = "is not a folder" if dataset.exists() else "no such dataset"
        raise InputError(f"{dataset}: {what}; give a folder that `avatarkit prepare-data` has made")
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        if (dataset / "plan.json").exists():
            what = "is not finished: run the same prepare-data command again"
        else:
            what = f"is not a dataset: it has no {NAME}; give a folder that `avatarkit prepare-data` has made"
        raise InputError(f"{dataset}: {what}") from error
    result, version = values.pop("format", None), values.pop("version", None)
    if result != FORMAT:
        raise InputError(f"{path}: is not the manifest of a dataset")
    if version != VERSION:
        raise InputError(
            f"{path}: is a dataset of version {version}, this program reads {VERSION};"
            " use the program that wrote it, or prepare the data again"
        )
    try:
        return _manifest(values)
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(f"{path}: is damaged: {error}") from error


def manifest_hash(dataset: Path) -> str:
    """SHA-256 of the manifest's bytes: it names the dataset's content."""
    return sha256_file(dataset / NAME)


def _manifest(values: Mapping[str, Any]) -> Manifest:
    if values["kind"] not in KINDS:
        raise ValueError(f"kind {check_text(values['kind'], 'kind')!r}")
    check_whole(values["size"], "size", 1, LARGEST_SIZE)
    check_table(values["config"], "config")
    check_table(values["tools"], "tools", check_text)
    for name in ("plan_hash", "config_hash"):
        check_text(values[name], name)
    shards = tuple(_entry(entry) for entry in check_list(values["shards"], "shards"))
    if len({entry.name for entry in shards}) != len(shards):
        raise ValueError("a shard is listed twice")
    totals = {_split(split): _totals(sums) for split, sums in check_table(values["totals"], "totals").items()}
    return Manifest(**{**values, "shards": shards, "totals": totals})


def _entry(values: Any) -> ShardEntry:
    entry = ShardEntry(**check_table(values, "shard"))
    check_split(entry.name, entry.split)
    check_text(entry.sha256, "sha256", 64)
    for name in SHARD_COUNTS:
        check_whole(getattr(entry, name), name)
    return entry


def _totals(values: Any) -> Totals:
    totals = Totals(**check_table(values, "totals"))
    for name, value in vars(totals).items():
        (check_number if name == "seconds" else check_whole)(value, name)
    return totals


def _split(name: str) -> Split:
    if name not in SPLITS:
        raise ValueError(f"split {name[:40]!r}")
    return name
