"""Takes people, originals or clips out of a dataset for good, at any moment of which the program may be killed.

The wish is written down first (`removed.json`). Each shard concerned is then written anew beside the old one, with its
counts, and both are renamed; selection and manifest follow. Whatever was cut off, the same call finishes it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from avatarkit.atomic import left_over_of, sync_file, sync_folder, write_json
from avatarkit.data.clip import ClipData, ClipInfo
from avatarkit.data.clip_table import drop_tables
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.hold import hold
from avatarkit.data.manifest import read_manifest, write_manifest
from avatarkit.data.marks import Removed, read_removed, read_selection, write_removed, write_selection
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import (
    FOLDER,
    ShardStats,
    count_shard,
    read_stats,
    sealed_shards,
    shard_path,
    stats_path,
)
from avatarkit.data.writer import ShardWriter
from avatarkit.errors import InputError, UsageError
from avatarkit.runtime import NullProgress, Progress

REPORTS = ("report.html", "report.json")
"""Reports in the dataset's folder are deleted: they show pictures of clips. `avatarkit data report` makes new ones."""
_SUFFIX = ".removing"
_KINDS = (("people", "person", "identity"), ("videos", "video", "video"), ("clips", "clip", "clip_id"))


@dataclass(frozen=True)
class Removal:
    """What a removal did. `finished` says that it completed an earlier one that was cut off."""

    clips: int
    frames: int
    shards: int
    finished: bool = False


def remove(dataset: Path, wanted: Removed, progress: Progress | None = None) -> Removal:
    """Remove clips of people, originals and single clips, and note them so that they do not come back.

    Raises:
        UsageError: nothing named, or a name that the dataset does not have.
        InputError: no finished dataset, or a shard that cannot be read.
        OutputError: another run writes there.
        OSError: the disk is full; what is there stays readable, and the same call goes on.
    """
    read_manifest(dataset)
    with hold(dataset):
        return _remove(dataset, wanted, progress or NullProgress())


def finish(dataset: Path, progress: Progress | None = None) -> Removal:
    """Complete a removal that was cut off; nothing happens where there is none. The caller holds the dataset."""
    read_manifest(dataset)
    removed = read_removed(dataset)
    return _apply(dataset, removed, _finish_renames(dataset), progress or NullProgress())


def _remove(dataset: Path, wanted: Removed, progress: Progress) -> Removal:
    before = read_removed(dataset)
    finished = _finish_renames(dataset)
    infos = [info for name in sealed_shards(dataset) for info in ShardReader(shard_path(dataset, name)).clips]
    _check_known(wanted, before, infos)
    joined = before.joined(wanted)
    if joined != before:
        write_removed(dataset, joined)
    for name in REPORTS:
        (dataset / name).unlink(missing_ok=True)
    drop_tables(dataset)
    return _apply(dataset, joined, finished, progress)


def _apply(dataset: Path, removed: Removed, finished: bool, progress: Progress) -> Removal:
    all_stats, kept_ids = [], set()
    result = [_stats(dataset, name) for name in sealed_shards(dataset)]
    progress.stage("remove", sum(stats.frames for stats in result), read_manifest(dataset).unit)
    clips = frames = shards = 0
    for stats in result:
        name, count = stats.name, stats.frames
        reader = ShardReader(shard_path(dataset, name))
        gone = [info for info in reader.clips if removed.covers(info)]
        rejected = tuple(record for record in stats.rejected if not removed.covers(record))
        if gone or rejected != stats.rejected:
            stats = _rewrite(dataset, name, reader, removed)
            clips, frames, shards = clips + len(gone), frames + sum(i.frames for i in gone), shards + bool(gone)
        all_stats.append(stats)
        kept_ids |= {info.clip_id for info in reader.clips} - {info.clip_id for info in gone}
        progress.advance(count)
    _update_selection(dataset, kept_ids)
    _update_manifest(dataset, all_stats)
    return Removal(clips, frames, shards, finished)


def _rewrite(dataset: Path, name: str, reader: ShardReader, removed: Removed) -> ShardStats:
    temporary, counts = _temporary(shard_path(dataset, name)), _temporary(stats_path(dataset, name))
    attributes = {key: text for key, text in reader.attributes.items() if key != "format"}
    with ShardWriter(temporary, attributes) as writer:
        for clip in _kept(reader, removed):
            writer.append(clip)
    sync_file(temporary)
    rejected = [record for record in _stats(dataset, name).rejected if not removed.covers(record)]
    stats = count_shard(name, temporary, writer.clips, rejected)
    # The new counts are the mark that the new shard is whole.
    write_json(counts, stats.to_json())
    _rename(dataset, name)
    return stats


def _kept(reader: ShardReader, removed: Removed) -> Iterator[ClipData]:
    for place, (info, frames) in enumerate(reader.clip_frames()):
        if not removed.covers(info):
            yield ClipData(
                info=info,
                images=[reader.image_bytes(frame) for frame in frames],
                mattes=[reader.matte_bytes(frame) for frame in frames],
                columns={name: reader.clip_column(name, place) for name in FRAME_COLUMNS},
            )


def _rename(dataset: Path, name: str) -> None:
    for path in (shard_path(dataset, name), stats_path(dataset, name)):
        if _temporary(path).exists():
            _temporary(path).replace(path)
            sync_folder(path.parent)


def _finish_renames(dataset: Path) -> bool:
    """Rename what is complete, delete what is not; whether there was anything to rename."""
    folder = dataset / FOLDER
    complete = sorted(path.name[1 : -len(".json" + _SUFFIX)] for path in folder.glob(f".*.json{_SUFFIX}"))
    for name in complete:
        _rename(dataset, name)
    partial = (path for path in dataset.glob(".*.json") if left_over_of(path.name))
    for path in (*folder.glob(f".*{_SUFFIX}*"), *partial):
        path.unlink()
    return bool(complete)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}{_SUFFIX}")


def _stats(dataset: Path, name: str) -> ShardStats:
    stats = read_stats(dataset, name)
    if stats is None:
        raise InputError(f"{stats_path(dataset, name)}: is missing; run the same prepare-data command again")
    return stats


def _update_selection(dataset: Path, kept_ids: set[str]) -> None:
    selection = read_selection(dataset)
    if selection is not None and not selection.clips <= kept_ids:
        write_selection(dataset, selection.clips & kept_ids, selection.rule)


def _update_manifest(dataset: Path, stats: list[ShardStats]) -> None:
    old = read_manifest(dataset)
    if {entry.name: entry.sha256 for entry in old.shards} != {item.name: item.sha256 for item in stats}:
        write_manifest(
            dataset, stats, kind=old.kind, size=old.size, plan_hash=old.plan_hash, config_hash=old.config_hash,
            config=old.config, tools=old.tools,
        )  # fmt: skip


def _check_known(wanted: Removed, before: Removed, infos: Iterable[ClipInfo]) -> None:
    infos = list(infos)
    if not (wanted.people or wanted.videos or wanted.clips):
        raise UsageError("nothing to remove: name a person, a video or a clip")
    for names, word, field in _KINDS:
        known = {getattr(info, field) for info in infos}
        for name in sorted(getattr(wanted, names) - known - getattr(before, names)):
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise UsageError(f"no {word} {name} in the dataset" + (f"; the nearest is {near[0]}" if near else ""))
