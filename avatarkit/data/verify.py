"""Finds everything that is wrong with a dataset; each problem is one line that begins with where it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from avatarkit.data.clip import Split
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.manifest import NAME, Manifest, ShardEntry, read_manifest, summed
from avatarkit.data.marks import SELECTION, Removed, read_removed, read_selection
from avatarkit.data.pictures import Pixels
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import FOLDER, ShardStats, read_stats, shard_path, stats_path
from avatarkit.errors import InputError
from avatarkit.runtime import NullProgress, Progress, cpu_threads, sha256_file


@dataclass
class _Seen:
    """What the shards so far hold."""

    removed: Removed
    clips: dict[str, str] = field(default_factory=dict)
    people: dict[str, Split] = field(default_factory=dict)
    stats: list[ShardStats] = field(default_factory=list)


def verify(dataset: Path, *, quick: bool = False, progress: Progress | None = None) -> Iterator[str]:
    """Check a dataset and yield its problems, none for a sound one.

    Always: hashes, counts, tables, ids, people in one split each, selection, removed people. Unless `quick`: every
    frame and matte decodes to the dataset's size, every annotation is finite.

    Raises:
        InputError: it is no finished dataset, or one of an unknown version.
    """
    progress = progress or NullProgress()
    manifest = read_manifest(dataset)
    seen = _Seen(read_removed(dataset))
    progress.stage("verify", sum(entry.frames for entry in manifest.shards), manifest.unit)
    for entry in manifest.shards:
        yield from _shard(dataset, manifest, entry, seen, quick, progress)
    yield from _whole(dataset, manifest, seen)


def _shard(
    dataset: Path, manifest: Manifest, entry: ShardEntry, seen: _Seen, quick: bool, progress: Progress
) -> Iterator[str]:
    path = shard_path(dataset, entry.name)
    where = f"{FOLDER}/{path.name}"
    if not path.is_file():
        yield f"{where}: is missing"
        return
    if path.stat().st_size != entry.bytes:
        yield f"{where}: has {path.stat().st_size} bytes, the manifest says {entry.bytes}"
    elif sha256_file(path) != entry.sha256:
        yield f"{where}: its sha256 is not the manifest's: its bytes have changed"
    yield from _counts(dataset, entry, seen)
    try:
        reader = ShardReader(path)
    except InputError as error:
        yield str(error).replace(str(path), where, 1)
        return
    yield from _tables(reader, manifest, entry, where)
    yield from _clips(reader, entry, where, seen)
    if quick:
        progress.advance(reader.frames)
    else:
        yield from _columns(reader, where)
        yield from _frames(reader, manifest.size, where, progress)


def _counts(dataset: Path, entry: ShardEntry, seen: _Seen) -> Iterator[str]:
    where = f"{FOLDER}/{stats_path(dataset, entry.name).name}"
    try:
        stats = read_stats(dataset, entry.name)
    except InputError as error:
        yield str(error)
        return
    if stats is None:
        yield f"{where}: is missing"
        return
    seen.stats.append(stats)
    for name in ("split", "sha256", "bytes", "clips", "frames"):
        if getattr(stats, name) != getattr(entry, name):
            yield f"{where}: {name} is {getattr(stats, name)}, the manifest says {getattr(entry, name)}"


def _tables(reader: ShardReader, manifest: Manifest, entry: ShardEntry, where: str) -> Iterator[str]:
    if len(reader.clips) != entry.clips or reader.frames != entry.frames:
        yield (
            f"{where}: holds {len(reader.clips)} clips and {reader.frames} frames,"
            f" the manifest says {entry.clips} and {entry.frames}"
        )
    for name in ("kind", "size", "plan_hash", "config_hash"):
        expected, result = str(getattr(manifest, name)), reader.attributes.get(name)
        if result not in (None, expected):
            yield f"{where}: its {name} is {result}, the manifest's is {expected}: it belongs to another dataset"


def _clips(reader: ShardReader, entry: ShardEntry, where: str, seen: _Seen) -> Iterator[str]:
    for info in reader.clips:
        clip = f"{where}: clip {info.clip_id}"
        if info.clip_id in seen.clips:
            yield f"{clip}: is also in {seen.clips[info.clip_id]}"
        seen.clips.setdefault(info.clip_id, where)
        if info.split != entry.split:
            yield f"{clip}: is of split {info.split}, its shard of {entry.split}"
        if (other := seen.people.setdefault(info.identity, info.split)) != info.split:
            yield f"{clip}: {info.identity} is in split {other} and in {info.split}"
        if seen.removed.covers(info):
            yield f"{clip}: was removed and is here; run `avatarkit data remove` again"


def _columns(reader: ShardReader, where: str) -> Iterator[str]:
    for place, info in enumerate(reader.clips):
        for name, column in FRAME_COLUMNS.items():
            values = reader.clip_column(name, place)
            finite = np.isfinite(values) | (np.isnan(values) & column.optional)
            if not finite.all():
                frame = int(np.flatnonzero(~finite.reshape(len(values), -1).all(1))[0])
                yield f"{where}: clip {info.clip_id}, frame {frame}: column {name} is not finite"


def _frames(reader: ShardReader, size: int, where: str, progress: Progress) -> Iterator[str]:
    with ThreadPoolExecutor(cpu_threads()) as pool:
        for info, frames in reader.clip_frames():
            for index, problems in enumerate(pool.map(partial(_frame_problems, reader, size), frames)):
                yield from (f"{where}: clip {info.clip_id}, frame {index}: {problem}" for problem in problems)
            progress.advance(len(frames))


def _frame_problems(reader: ShardReader, size: int, frame: int) -> list[str]:
    problems = []
    for stream, decode in (("image", reader.image), ("matte", reader.matte)):
        try:
            picture: Pixels = decode(frame)
        except InputError as error:
            problems.append(f"its {stream} {str(error).rpartition(': ')[2]}")
            continue
        if picture.shape[:2] != (size, size):
            problems.append(f"its {stream} is {picture.shape[1]} x {picture.shape[0]}, the dataset's size is {size}")
    return problems


def _whole(dataset: Path, manifest: Manifest, seen: _Seen) -> Iterator[str]:
    listed = {f"{entry.name}.h5" for entry in manifest.shards}
    for path in sorted((dataset / FOLDER).glob("[!.]*.h5")):
        if path.name not in listed:
            yield f"{FOLDER}/{path.name}: is not in the manifest"
    if len(seen.stats) == len(manifest.shards) and summed(seen.stats) != manifest.totals:
        yield f"{NAME}: its totals are not the sums of its shards"
    try:
        selection = read_selection(dataset)
    except InputError as error:
        yield str(error)
        return
    strangers = sorted(selection.clips - set(seen.clips)) if selection is not None else []
    yield from (f"{SELECTION}: selects {clip}, which the dataset does not have" for clip in strangers)
