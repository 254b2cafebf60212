"""The plan of a dataset: which sample goes into which shard, fixed before anything is decoded, with a hash.

A plan holds relative paths and no folder, so a dataset and its originals may be moved between two runs. Boxes and
landmarks stay in the metadata and are read again when a shard is made; their digests are here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from avatarkit.data.clip import SPLITS, Rejected, Split
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError, OutputError
from avatarkit.reading import open_file

FILE = "plan.json"
PlanKind = Literal["voxceleb2", "ffhq", "videos"]
KINDS: tuple[PlanKind, ...] = get_args(PlanKind)
SAME_BYTES, ALIKE = "duplicate", "alike"
"""The reason why an item is left out whose file holds the same bytes as another's, and the note of one that is kept and
looks like another: that one's key."""
EDGE_BYTES = 1 << 16
"""Bytes at each end of an original that are hashed."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was when the plan was made.

    root: which of the folders given holds it, from 0. path: below that folder. bytes: its size. digest: the start of
    a hash of its size, its first and its last 64 KiB.
    """

    root: int
    path: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class PlannedTrack:
    """One sample of an item.

    frames: how many of a clip's frames are expected of it. folder: below the metadata folder, the one that holds the
    person's ("" or such as dev/txt).
    """

    identity: str
    utterance: str
    frames: int
    folder: str = ""


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """What is decoded once: a video with all its tracks, or a photo.

    key: id of the video or photo. original: None where it will be downloaded. digest: of all metadata read for it.
    record: first byte and length of a photo's record, if it has one. form: which form of a photo the file is.
    notes: more that stands in no other file, such as the age.
    """

    key: str
    tracks: tuple[PlannedTrack, ...]
    original: Original | None = None
    digest: str = ""
    record: tuple[int, int] | None = None
    form: str = ""
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def frames(self) -> int:
        """Frames expected."""
        return sum(track.frames for track in self.tracks)


@dataclass(frozen=True)
class PlannedShard:
    """Items that go into one file, in this order; all of one split."""

    name: str
    split: Split
    items: tuple[PlannedItem, ...]


@dataclass(frozen=True)
class Dropped:
    """What the plan leaves out: tracks (identity, utterance) of one video or photo, for one reason."""

    key: str
    split: Split
    tracks: tuple[tuple[str, str], ...]
    reason: str
    detail: str


@dataclass(frozen=True)
class Plan:
    """A whole plan; equal inputs give equal bytes.

    config: all settings that decide the result. tools: what tracks, mattes and scores, with hashes of weights.
    """

    kind: PlanKind
    config: Mapping[str, Any]
    tools: Mapping[str, str]
    shards: tuple[PlannedShard, ...]
    dropped: tuple[Dropped, ...] = ()
    problems: tuple[Problem, ...] = ()
    hash: str = field(default="", compare=False)

    @property
    def config_hash(self) -> str:
        """SHA-256 of the settings."""
        return hashlib.sha256(canonical_json([self.kind, dict(self.config)])).hexdigest()

    @property
    def samples(self) -> int:
        """Tracks and photos in all shards."""
        return sum(len(item.tracks) for item in self.items())

    def items(self) -> Iterator[PlannedItem]:
        """All items in order."""
        return (item for shard in self.shards for item in shard.items)

    def shard(self, name: str) -> PlannedShard:
        """A shard by name; KeyError where there is none."""
        for shard in self.shards:
            if shard.name == name:
                return shard
        raise KeyError(name)

    def rejected(self) -> Iterator[Rejected]:
        """What the plan leaves out, sample by sample."""
        for item in self.dropped:
            for identity, utterance in item.tracks:
                name = sample_id(identity, item.key, utterance)
                yield Rejected(name, item.key, identity, item.split, "plan", item.reason, item.detail)


def canonical_json(values: Any) -> bytes:
    """One text for one value: sorted keys, no needless white space, ASCII, a line's end; NaN is refused."""
    text = json.dumps(values, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def sample_id(identity: str, key: str, utterance: str) -> str:
    """The id of a clip to be: identity-video-utterance where there are utterances, otherwise the key of its item."""
    return f"{identity}-{key}-{utterance}" if utterance else key


def fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and digest of a file, from its ends alone.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open_file(path, links=True) as handle:
            size = handle.seek(0, 2)
            digest = hashlib.sha256(str(size).encode())
            for start in (0, max(size - EDGE_BYTES, 0)):
                handle.seek(start)
                digest.update(handle.read(EDGE_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return size, digest.hexdigest()[:32]


def pack(
    items: Sequence[tuple[Split, PlannedItem, int]], *, target_bytes: int, least: int
) -> tuple[PlannedShard, ...]:
    """Put items into shards of about equal expected size.

    A split gets as many shards as its expected bytes fill, but at least `least` where it has so many items: small
    sets too are then made by several workers. The number of workers has no part in it. Items keep their order, so the
    clips of a person lie together.

    Args:
        items: split, item and expected bytes.
        target_bytes: of a shard.
        least: shards of a split.
    """
    shards: list[PlannedShard] = []
    for split in SPLITS:
        own = [(item, size) for where, item, size in items if where == split]
        total = sum(size for _, size in own)
        count = min(len(own), max(least, -(-total // target_bytes)))
        bins: list[list[PlannedItem]] = [[] for _ in range(count)]
        before = 0
        for at, (item, size) in enumerate(own):
            # By the middle of its bytes; by its number where nothing is known of any size.
            place = (2 * before + size) * count // (2 * total) if total else at * count // len(own)
            bins[min(place, count - 1)].append(item)
            before += size
        full = [entry for entry in bins if entry]
        shards += [PlannedShard(f"{split}-{at:05d}", split, tuple(entry)) for at, entry in enumerate(full)]
    return tuple(shards)


def check_same(plan: Plan, kind: PlanKind, config: Mapping[str, Any], where: Path) -> None:
    """Raise OutputError unless a plan was made with these settings; the message names those that differ."""
    if plan.kind != kind:
        raise OutputError(f"{where}: holds a dataset of {plan.kind}, not of {kind}; choose another --output")
    names = sorted(set(plan.config) | set(config))
    different = [name for name in names if plan.config.get(name) != config.get(name)]
    if different:
        shown = ", ".join(f"{name} {plan.config.get(name)} (now {config.get(name)})" for name in different[:4])
        raise OutputError(f"{where}: was planned with {shown}; use the same options, or choose another --output")
