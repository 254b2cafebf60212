"""Side-car columns: rows come back by frame, belong to one state of the dataset, and reach samples by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarkit.data.dataset import Dataset
from avatarkit.data.pairs import PairDataset
from avatarkit.data.reader import ShardReader
from avatarkit.data.samples import SampleSpec
from avatarkit.data.sidecar import write_column
from avatarkit.errors import InputError, UsageError


def frame_numbers(reader: ShardReader) -> np.ndarray:
    """(number in the shard, time) of each frame."""
    return np.stack([np.arange(len(reader)), reader.column("time_s")], axis=1).astype(np.float32)


def test_rows_come_back_by_frame_and_reach_samples(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    write_column(opened, "numbers", "count, seconds", frame_numbers)
    assert opened.sidecar("numbers").unit == "count, seconds"
    for shard in opened.shards():
        times = opened.reader(shard).column("time_s")
        rows = [opened.sidecar("numbers").row(shard, number) for number in range(len(times))]
        np.testing.assert_allclose(np.stack(rows)[:, 1], times)
    spec = SampleSpec(other=False, columns=("numbers",))
    sample = PairDataset(Dataset.open(dataset), "train", 0, sample=spec)[0]
    assert sample["source"]["numbers"].dtype == torch.float32
    assert not torch.equal(sample["source"]["numbers"], sample["driver"]["numbers"])


def test_several_sources_and_a_window_are_stacked(dataset: Path) -> None:
    write_column(Dataset.open(dataset), "numbers", "", frame_numbers)
    spec = SampleSpec(sources=2, window=3, other=False, columns=("numbers",))
    sample = PairDataset(dataset, "train", 0, 16, sample=spec)[0]
    assert sample["source"]["image"].shape == (2, 3, 16, 16)
    assert sample["driver"]["landmarks"].shape == (3, 478, 3)
    numbers = sample["driver"]["numbers"][:, 0]
    assert torch.equal(numbers.diff(), torch.ones(2))


def test_a_column_belongs_to_one_state_of_the_dataset(dataset: Path, tmp_path: Path) -> None:
    write_column(Dataset.open(dataset), "numbers", "", frame_numbers)
    shutil.copytree(dataset, tmp_path / "copy")
    manifest = tmp_path / "copy" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(InputError, match="was made for other data"):
        Dataset.open(tmp_path / "copy").sidecar("numbers")
    with pytest.raises(InputError, match="has no column none"):
        Dataset.open(dataset).sidecar("none")


def test_odd_columns_are_refused_and_leave_nothing(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    for name in ("landmarks", "../x", "A", ""):
        with pytest.raises(UsageError, match="choose another name"):
            write_column(opened, name, "", frame_numbers)
    with pytest.raises(UsageError, match="rows are"):
        write_column(opened, "short", "", lambda reader: np.zeros((len(reader) + 1, 2)))
    assert not list((dataset / "columns").iterdir())


def test_odd_specs_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        SampleSpec(window=0)
    with pytest.raises(UsageError, match="photos have one frame"):
        SampleSpec("photos", sources=2)
