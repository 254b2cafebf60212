"""Tables of clips: the same samples from stored arrays as from the shards, made again when the dataset changes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from drawn_clips import four_people

from avatarkit.data.clip_table import drop_tables
from avatarkit.data.dataset import Dataset
from avatarkit.data.marks import Removed, write_selection
from avatarkit.data.pairs import PairDataset
from avatarkit.data.remove import remove
from avatarkit.errors import InputError


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("clips-*"))


def test_table_tells_what_the_shards_do(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    table = opened.table
    entries = {entry.info.clip_id: entry for entry in opened.entries(selected=False)}
    assert len(table) == len(entries)
    for row in range(len(table)):
        entry = entries[table.clip_id(row)]
        shard = opened.manifest.shards[table.column("shard")[row]].name
        assert (table.identity(row), shard) == (entry.info.identity, entry.shard)
        assert table.column("frames")[row] == entry.info.frames
        assert table.column("first_frame")[row] == entry.first_frame
    known = [(entry.info.split, entry.info.identity, entry.info.clip_id) for entry in entries.values()]
    rows = range(len(table))
    by_row = [(entries[table.clip_id(row)].info.split, table.identity(row), table.clip_id(row)) for row in rows]
    assert by_row == sorted(known, key=lambda key: (("train", "val", "test").index(key[0]), *key[1:]))


def test_stored_table_is_mapped_and_travels_without_the_shards(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = PairDataset(dataset, "train", seed=3)
    assert len(stored(dataset)) == 1
    monkeypatch.setattr(Dataset, "_all", property(lambda self: pytest.fail("shards are not read for the table")))
    again = pickle.loads(pickle.dumps(PairDataset(dataset, "train", seed=3)))
    assert isinstance(again.dataset.table.numbers, np.memmap)
    assert list(again.names) == list(first.names)
    assert int(again[7]["clip"]) == int(first[7]["clip"])


def test_table_is_that_of_the_selection(dataset: Path) -> None:
    everything = [clip for clip, _ in PairDataset(dataset, "train", 0).names]
    before = stored(dataset)
    write_selection(dataset, everything[1:], {"min_score": 1})
    assert [clip for clip, _ in PairDataset(dataset, "train", 0).names] == everything[1:]
    assert [clip for clip, _ in PairDataset(dataset, "train", 0, selected=False).names] == everything
    after = stored(dataset)
    assert len(after) == 1
    assert after != before


def test_selection_that_changes_while_in_use_is_refused(dataset: Path) -> None:
    ids = [clip.clip_id for clip in Dataset.open(dataset).clips()]
    write_selection(dataset, ids, {})
    opened = Dataset.open(dataset)
    write_selection(dataset, ids[1:], {})
    with pytest.raises(InputError, match="has changed while in use"):
        _ = opened.table


def test_removed_people_leave_the_table(dataset: Path) -> None:
    names = PairDataset(dataset, "train", 0).names
    gone = names[0][1]
    remove(dataset, Removed(people=frozenset({gone})))
    assert not stored(dataset)
    assert gone not in {who for _, who in PairDataset(dataset, "train", 0, selected=False).names}


def test_without_leave_to_write_the_table_is_made_each_time(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("avatarkit.data.clip_table.replaced", refuse)
    assert len(PairDataset(dataset, "train", 0)) > 1
    assert not stored(dataset)


@pytest.mark.parametrize("harm", ["cut", "shape", "number"])
def test_damaged_table_is_told_with_what_to_do(harm: str, tmp_path: Path) -> None:
    four_people(tmp_path)
    _ = Dataset.open(tmp_path).table
    (folder,) = stored(tmp_path)
    path = folder / "numbers.npy"
    numbers = np.load(path)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        numbers[5, 0] = 99
        np.save(path, numbers[:, 1:] if harm == "shape" else numbers)
    with pytest.raises(InputError, match=r"is damaged.*made again"):
        _ = Dataset.open(tmp_path).table
    drop_tables(tmp_path)
    assert len(Dataset.open(tmp_path).table)
