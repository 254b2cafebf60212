"""Open a dataset as a stage reads it; what the stage cannot use is refused before the first step."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatarkit.data.clip_dataset import ClipDataset, ClipNames, people_in
from avatarkit.data.dataset import Dataset
from avatarkit.data.pairs import PairDataset, open_samples
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError
from avatarkit.training.checks import KINDS
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData

_HASHED_AT_ONCE = 1 << 16


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
        sha256=_content_hash(dataset, train.names),
        train=train,
        val=_validation(dataset, seed, needed_px, sample),
        clips=train.names,
        origin=_origin(dataset, len(train)),
    )
    return replace(opened, first_frame=train.frame) if isinstance(train, PairDataset) else opened


def _content_hash(dataset: Dataset, names: ClipNames) -> str:
    """Stands for all that is trained on: the shards, by their manifest, and which of their clips."""
    digest = hashlib.sha256(f"{dataset.hash}\n".encode())
    for first in range(0, len(names), _HASHED_AT_ONCE):
        digest.update(names.table.ids[names.rows[first : first + _HASHED_AT_ONCE]].tobytes())
    return digest.hexdigest()


def _origin(dataset: Dataset, clips: int) -> dict[str, Any]:
    """What tells later how a dataset has changed; see `checks.check_same_run`."""
    return {"manifest": dataset.hash, "clips": clips, "selection": dataset.rule}


def _validation(dataset: Dataset, seed: int, size: int, sample: SampleSpec) -> ClipDataset | None:
    """The validation split where it has enough for the samples."""
    if people_in(dataset, "val", sample.least_frames) < (2 if sample.other else 1):
        return None
    # Any pair of frames: figures should not depend on how hard ones are chosen for training.
    return open_samples(dataset, "val", derive(seed, "val"), size, replace(sample, candidates=1))
