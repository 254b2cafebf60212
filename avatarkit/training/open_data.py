"""Open a dataset as a stage reads it; what the stage cannot use is refused before the first step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.dataset import Dataset
from avatarkit.data.pairs import PairDataset, PhotoDataset
from avatarkit.errors import InputError, UsageError
from avatarkit.training.checks import KINDS
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import DataKind

DEFAULT_AVATARS = 100
"""Of the student where --avatars is not given and the data has as many people: the paper's."""
MOST_AVATARS = 10_000
"""A number that is larger is taken for a slip of the pen."""


def open_data(
    path: Path, stage: str, kind: DataKind, needed_px: int, seed: int, preset: str, *, cross: bool = True
) -> TrainData:
    """Open a dataset.

    Args:
        path: its folder. stage, preset: for messages. kind: that the stage needs.
        needed_px: side of the pictures that the preset takes; larger ones are made smaller.
        seed: of the order of samples. cross: samples bring a pair of another person along.

    Raises:
        InputError: no such dataset, an empty, unfinished or damaged one, of the wrong kind, with too small
            pictures, or with one person only where pairs across people are needed.
    """
    dataset = Dataset.open(path)
    manifest = dataset.manifest
    if manifest.kind != kind:
        raise InputError(f"{path}: is a dataset of {manifest.kind}, but train {stage} needs {KINDS[kind]}")
    if manifest.size < needed_px:
        raise InputError(
            f"{path}: its pictures have {manifest.size} px, but train {stage} --preset {preset} needs {needed_px} px;"
            f" prepare the data with --size {needed_px}, or use a smaller preset"
        )
    opened = PairDataset if kind == "videos" else PhotoDataset
    train = opened(dataset, "train", derive(seed, "order"), needed_px, with_other=cross)
    found = TrainData(
        kind=kind,
        size=needed_px,
        sha256=_content_hash(dataset, train.clips),
        train=train,
        val=_validation(dataset, seed, needed_px, cross=cross),
        clips=_people(train.clips),
        origin=_origin(dataset, train.clips),
    )
    return replace(found, first_frame=train.frame) if isinstance(train, PairDataset) else found


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
    found = tuple(dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()))
    if not found:
        raise UsageError("--avatars: give a number from 1 on, or clip ids with commas between")
    return found


def _content_hash(dataset: Dataset, clips: Sequence[ClipInfo]) -> str:
    """Stands for all that is trained on: the shards, by their manifest, and which of their clips."""
    digest = hashlib.sha256(f"{dataset.hash}\n".encode())
    for clip_id in sorted(clip.clip_id for clip in clips):
        digest.update(f"{clip_id}\n".encode())
    return digest.hexdigest()


def _origin(dataset: Dataset, clips: Sequence[ClipInfo]) -> dict[str, Any]:
    """What tells later how a dataset has changed; see `checks.check_same_run`."""
    rule = dict(dataset.selection.rule) if dataset.selection is not None else {}
    return {"manifest": dataset.hash, "clips": len(clips), "selection": rule}


def _one_each(data: TrainData) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for clip, identity in data.clips:
        first.setdefault(identity, clip)
    return tuple(first.values())


def _validation(dataset: Dataset, seed: int, size: int, *, cross: bool) -> PairDataset | PhotoDataset | None:
    """The validation split where it has enough for pairs."""
    split: Split = "val"
    photos = dataset.manifest.kind == "photos"
    usable = [clip for clip in dataset.clips(split) if photos or clip.frames >= 2]
    if not usable or (cross and len({clip.identity for clip in usable}) < 2):
        return None
    opened = PhotoDataset if photos else PairDataset
    return opened(dataset, split, derive(seed, "val"), size, with_other=cross)


def _people(clips: Sequence[ClipInfo]) -> tuple[tuple[str, str], ...]:
    return tuple((clip.clip_id, clip.identity) for clip in clips)
