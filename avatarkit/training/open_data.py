"""Open a dataset as a stage reads it; what the stage cannot use is refused before the first step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatarkit.data.clip import ClipInfo
from avatarkit.data.dataset import Dataset
from avatarkit.data.pairs import ClipDataset, PairDataset, open_samples
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError
from avatarkit.training.checks import KINDS
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData


def open_data(path: Path, stage: str, sample: SampleSpec, needed_px: int, seed: int, preset: str) -> TrainData:
    """Open a dataset.

    Args:
        path: its folder. stage, preset: for messages. sample: what the stage reads.
        needed_px: side of the pictures that the preset takes; larger ones are made smaller.
        seed: of the order of samples.

    Raises:
        InputError: no such dataset, an empty, unfinished or damaged one, of the wrong kind, with too small
            pictures, or with one person only where pairs across people are needed.
    """
    dataset = Dataset.open(path)
    manifest = dataset.manifest
    if manifest.kind != sample.kind:
        raise InputError(f"{path}: is a dataset of {manifest.kind}, but train {stage} needs {KINDS[sample.kind]}")
    if manifest.size < needed_px:
        raise InputError(
            f"{path}: its pictures have {manifest.size} px, but train {stage} --preset {preset} needs {needed_px} px;"
            f" prepare the data with --size {needed_px}, or use a smaller preset"
        )
    train = open_samples(dataset, "train", derive(seed, "order"), needed_px, sample)
    opened = TrainData(
        kind=sample.kind,
        size=needed_px,
        sha256=_content_hash(dataset, train.clips),
        train=train,
        val=_validation(dataset, seed, needed_px, sample),
        clips=tuple((clip.clip_id, clip.identity) for clip in train.clips),
        origin=_origin(dataset, train.clips),
    )
    return replace(opened, first_frame=train.frame) if isinstance(train, PairDataset) else opened


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


def _validation(dataset: Dataset, seed: int, size: int, sample: SampleSpec) -> ClipDataset | None:
    """The validation split where it has enough for the samples."""
    usable = [clip for clip in dataset.clips("val") if clip.frames >= sample.least_frames]
    if not usable or (sample.other and len({clip.identity for clip in usable}) < 2):
        return None
    # Any pair of frames: figures should not depend on how hard ones are chosen for training.
    return open_samples(dataset, "val", derive(seed, "val"), size, replace(sample, candidates=1))
