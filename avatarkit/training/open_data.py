"""Open a dataset as a stage reads it; what the stage cannot use is refused before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.dataset import Dataset
from avatarkit.data.pairs import PairDataset, PhotoDataset
from avatarkit.errors import InputError, UsageError
from avatarkit.training.checks import KINDS
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import DataKind

DEFAULT_AVATARS = 100
"""Of the student where --avatars is not given: the paper's."""


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
    if kind == "photos":
        photos = PhotoDataset(dataset, "train", derive(seed, "order"), needed_px)
        checked = PhotoDataset(dataset, "val", derive(seed, "val"), needed_px) if dataset.clips("val") else None
        return TrainData(kind, needed_px, dataset.hash, photos, checked, partner=True, clips=_people(photos.clips))
    train = PairDataset(dataset, "train", derive(seed, "order"), needed_px, with_other=cross)
    return TrainData(
        kind=kind,
        size=needed_px,
        sha256=dataset.hash,
        train=train,
        val=_validation(dataset, seed, needed_px, cross=cross),
        clips=_people(train.clips),
        first_frame=train.frame,
    )


def choose_avatars(wanted: str | None, configured: Sequence[str], data: TrainData) -> tuple[str, ...]:
    """The student's avatars as clip ids: those named, or the first clip of each of so many people.

    Args:
        wanted: "100", or clip ids with commas between; None takes `configured`, or 100 people.

    Raises:
        UsageError: no such clip, or none at all.
    """
    known = dict(data.clips)
    if wanted is None and configured:
        chosen = tuple(configured)
    elif wanted is None or wanted.isdigit():
        chosen = _one_each(data)[: int(wanted) if wanted else DEFAULT_AVATARS]
    else:
        chosen = tuple(dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()))
    missing = [clip for clip in chosen if clip not in known]
    if missing:
        raise UsageError(
            f"--avatars: the training split has no clip {', '.join(missing[:3])}; see avatarkit data report"
        )
    if not chosen:
        raise UsageError("--avatars: give a number from 1 on, or clip ids with commas between")
    return chosen


def _one_each(data: TrainData) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for clip, identity in data.clips:
        first.setdefault(identity, clip)
    return tuple(first.values())


def _validation(dataset: Dataset, seed: int, size: int, *, cross: bool) -> PairDataset | None:
    """The validation split where it has enough for pairs."""
    split: Split = "val"
    usable = [clip for clip in dataset.clips(split) if clip.frames >= 2]
    if not usable or (cross and len({clip.identity for clip in usable}) < 2):
        return None
    return PairDataset(dataset, split, derive(seed, "val"), size, with_other=cross)


def _people(clips: Sequence[ClipInfo]) -> tuple[tuple[str, str], ...]:
    return tuple((clip.clip_id, clip.identity) for clip in clips)
