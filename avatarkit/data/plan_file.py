"""plan.json: written whole, and read as a file that anybody may have made."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_whole
from avatarkit.data.clip import SPLITS, Rejected, Split
from avatarkit.data.ffhq_json import LARGEST_RECORD
from avatarkit.data.plan import (
    FILE,
    KINDS,
    Dropped,
    Original,
    Plan,
    PlannedItem,
    PlannedShard,
    PlannedTrack,
    canonical_json,
)
from avatarkit.data.shard import check_split
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError, OutputError
from avatarkit.reading import check_id, check_inside, check_list, check_table, check_text, check_whole, read_json

FORMAT, VERSION = "avatarkit-plan", 1
MOST_BYTES = 1 << 30
"""VoxCeleb2's plan has about 200 MB."""


def write_plan(dataset: Path, plan: Plan) -> Plan:
    """Write plan.json, whole or not at all; returns the plan with its hash. Raises OutputError where it cannot be."""
    text, path = canonical_json(_to_json(plan)), dataset / FILE
    try:
        write_whole(path, text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; free some space") from error
    return _with_hash(plan, text)


def read_plan(path: Path) -> Plan:
    """Read a plan.json, or the one in a dataset's folder.

    Raises:
        InputError: it is missing, of an unknown version, or no plan.
    """
    path = path / FILE if path.is_dir() else path
    try:
        values = read_json(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such plan; avatarkit prepare-data makes it") from error
    if (values.get("format"), values.get("version")) != (FORMAT, VERSION):
        result = f"{values.get('format')} {values.get('version')}"
        raise InputError(
            f"{path}: is {result[:60]}, this program reads {FORMAT} {VERSION}; choose another --output,"
            " or use the program"
            " that made it"
        )
    try:
        plan = _from_json(values)
    except (KeyError, TypeError, ValueError, IndexError, InputError) as error:
        raise InputError(f"{path}: is damaged: {error}; begin again in another folder") from error
    return _with_hash(plan, canonical_json(values))


def _with_hash(plan: Plan, text: bytes) -> Plan:
    digest = hashlib.sha256(text).hexdigest()
    # Sorted as the file is: a plan that was just made and one that was read are written on in the same way.
    config, tools = dict(sorted(plan.config.items())), dict(sorted(plan.tools.items()))
    return Plan(plan.kind, config, tools, plan.shards, plan.dropped, plan.problems, digest)


def _to_json(plan: Plan) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": plan.kind,
        "config": dict(plan.config),
        "tools": dict(plan.tools),
        "shards": [
            {"name": shard.name, "split": shard.split, "items": [_item_to_json(item) for item in shard.items]}
            for shard in plan.shards
        ],
        "dropped": [[entry.key, entry.split, entry.tracks, entry.reason, entry.detail] for entry in plan.dropped],
        "problems": [[entry.file, entry.line, entry.what] for entry in plan.problems],
    }


def _item_to_json(item: PlannedItem) -> dict[str, Any]:
    """Lists for what repeats a million times; empty fields are left out."""
    original = item.original
    values: dict[str, Any] = {
        "key": item.key,
        "tracks": [[entry.identity, entry.utterance, entry.frames, entry.folder] for entry in item.tracks],
        "original": [original.root, original.path, original.bytes, original.digest] if original else None,
        "digest": item.digest,
        "record": item.record,
        "form": item.form,
        "notes": dict(item.notes),
    }
    return {name: value for name, value in values.items() if value}


def _from_json(values: Mapping[str, Any]) -> Plan:
    if values["kind"] not in KINDS:
        raise ValueError(f"unknown kind {check_text(values['kind'], 'kind')!r}")
    check_table(values["config"], "config")
    check_table(values["tools"], "tools", check_text)
    shards = tuple(_shard_from_json(shard) for shard in check_list(values["shards"], "shards"))
    if len({shard.name for shard in shards}) != len(shards):
        raise ValueError("a shard is planned twice")
    dropped = tuple(_dropped(*item) for item in check_list(values["dropped"], "dropped"))
    problems = tuple(
        Problem(check_text(file, "file"), check_whole(line, "line"), check_text(what, "what"))
        for file, line, what in check_list(values["problems"], "problems")
    )
    return Plan(values["kind"], dict(values["config"]), dict(values["tools"]), shards, dropped, problems)


def _shard_from_json(values: Any) -> PlannedShard:
    table = check_table(values, "shard")
    check_split(table["name"], table["split"])
    return PlannedShard(table["name"], table["split"], tuple(_item_from_json(item) for item in table["items"]))


def _item_from_json(values: Any) -> PlannedItem:
    table = check_table(values, "item")
    original, record = table.get("original"), table.get("record")
    notes = check_table(table.get("notes", {}), "notes", check_text)
    _check_notes(notes)
    return PlannedItem(
        key=check_id(table["key"], "key"),
        tracks=tuple(_track(*item) for item in check_list(table["tracks"], "tracks")),
        original=_original(*original) if original else None,
        digest=check_text(table.get("digest", ""), "digest", 64),
        record=_record(*record) if record else None,
        form=check_text(table.get("form", ""), "form"),
        notes=tuple(sorted(notes.items())),
    )


def _dropped(key: str, split: Split, tracks: Any, reason: str, detail: str) -> Dropped:
    if split not in SPLITS:
        raise ValueError(f"split {check_text(split, 'split')!r}")
    names = tuple((check_id(who, "identity"), _utterance(what)) for who, what in check_list(tracks, "tracks"))
    # The record that the dataset keeps of each checks the reason.
    for who, what in names:
        Rejected(f"{who}-{what}", key, who, split, "plan", reason, detail)
    return Dropped(check_id(key, "key"), split, names, reason, check_text(detail, "detail"))


def _original(root: int, path: str, size: int, digest: str) -> Original:
    # No path: the folder given is itself the file.
    inner = check_inside(path, "original") if path != "" else ""
    return Original(check_whole(root, "root"), inner, check_whole(size, "bytes"), check_text(digest, "digest", 64))


def _record(start: int, length: int) -> tuple[int, int]:
    return check_whole(start, "record"), check_whole(length, "record", 1, 4 * LARGEST_RECORD)


def _check_notes(notes: Mapping[str, str]) -> None:
    """Notes of numbers must be such."""
    for name, most in (("age", 150.0), ("faces", 10_000.0)):
        if not 0 <= float(notes.get(name, 0)) <= most or (name == "faces" and not notes.get(name, "0").isdecimal()):
            raise ValueError(f"{name} is {notes[name][:40]!r}")


def _utterance(name: str) -> str:
    return check_id(name, "utterance") if name != "" else ""


def _track(identity: str, utterance: str, frames: int, folder: str) -> PlannedTrack:
    # The same few texts a million times: one copy of each is kept.
    who, what = sys.intern(check_id(identity, "identity")), sys.intern(_utterance(utterance))
    inner = sys.intern(check_inside(folder, "folder")) if folder != "" else ""
    return PlannedTrack(who, what, check_whole(frames, "frames"), inner)
