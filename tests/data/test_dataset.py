"""Manifest, counts, selection and the opened dataset: what is written is read, and what is unfinished is refused."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
from drawn_clips import drawn_clip, four_people, write_dataset

from avatarkit.atomic import write_json
from avatarkit.data import dataset as dataset_module
from avatarkit.data.clip import ClipInfo, Rejected
from avatarkit.data.dataset import Dataset
from avatarkit.data.manifest import Totals, manifest_hash, read_manifest
from avatarkit.data.marks import Removed, read_removed, read_selection, write_removed, write_selection
from avatarkit.data.shard import read_stats, sealed_shards, shard_name, shard_path, stats_path
from avatarkit.errors import InputError
from avatarkit.reading import read_json
from avatarkit.runtime import sha256_file


def test_manifest_counts_what_the_shards_hold(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert [entry.name for entry in manifest.shards] == ["train-00000", "train-00001", "val-00000"]
    entry = manifest.shards[0]
    assert entry.sha256 == sha256_file(shard_path(dataset, entry.name))
    assert (entry.clips, entry.frames) == (2, 10)
    size = sum(e.bytes for e in manifest.shards if e.split == "train")
    assert manifest.totals["train"] == Totals(4, 18, 18 / 25, 3, size, 1)
    assert manifest.totals["val"].people == 1
    assert sealed_shards(dataset) == [e.name for e in manifest.shards]


def test_same_dataset_has_the_same_hash(dataset: Path, tmp_path: Path) -> None:
    four_people(tmp_path / "again")
    assert manifest_hash(tmp_path / "again") == manifest_hash(dataset)


def test_counts_of_a_shard_keep_what_was_refused(dataset: Path) -> None:
    stats = read_stats(dataset, "train-00000")
    assert stats is not None
    assert stats.people == ("a", "b")
    assert stats.rejected == (
        Rejected("b-9", "video-b-9", "b", "train", "crop", "head-too-small", "the head has 12 px"),
    )
    assert read_stats(dataset, "train-00009") is None
    stats_path(dataset, "train-00000").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="another version"):
        read_stats(dataset, "train-00000")


def test_clips_by_split_and_selection(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    assert [info.clip_id for info in opened.clips("train")] == ["a-1", "b-1", "a-2", "c/1.x"]
    assert len(opened.clips()) == 5
    entry = opened.entries("train")[1]
    assert (entry.shard, entry.place, entry.first_frame) == ("train-00000", 1, 6)
    assert opened.reader(entry.shard).clips[entry.place] == entry.info
    write_selection(dataset, ["c/1.x", "a-1"], {"keep_top": 0.5})
    again = Dataset.open(dataset)
    assert [info.clip_id for info in again.clips("train")] == ["a-1", "c/1.x"]
    assert again.clips("val") == []
    assert len(again.clips("val", selected=False)) == 1
    assert again.hash == opened.hash


def test_opened_dataset_travels_to_other_processes(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    opened.clips()
    again = pickle.loads(pickle.dumps(opened))
    assert again.clips() == opened.clips()
    assert again.hash == opened.hash


def test_files_beyond_the_limit_are_closed_and_opened_again(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "MAX_OPEN_FILES", 1)
    opened = Dataset.open(dataset)
    readers = [opened.reader(name) for name in opened.shards()]
    for _ in range(3):
        for name in opened.shards():
            assert opened.reader(name).image(0).shape == (32, 32, 3)
    assert [reader.is_open for reader in readers] == [False, False, True]


def test_what_cannot_be_opened_is_refused_in_one_line(dataset: Path, tmp_path: Path) -> None:
    def message() -> str:
        with pytest.raises(InputError) as refused:
            Dataset.open(dataset)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    with pytest.raises(InputError, match="no such dataset"):
        Dataset.open(tmp_path / "none")
    whole = (dataset / "manifest.json").read_text()
    (dataset / "manifest.json").write_text(whole.replace('"version": 1', '"version": 5'))
    assert "is a dataset of version 5, this program reads 1" in message()
    (dataset / "manifest.json").write_text(whole.replace("avatarkit-dataset", "other"))
    assert "is not the manifest of a dataset" in message()
    (dataset / "manifest.json").write_text(whole.replace('"videos"', '"songs"'))
    assert "is damaged: kind 'songs'" in message()
    (dataset / "manifest.json").write_text(whole[:100])
    assert "is damaged: not json" in message()
    (dataset / "manifest.json").write_text(whole)
    shard = shard_path(dataset, "train-00001")
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "is not the shard that the manifest lists" in message()
    shard.unlink()
    assert "is missing" in message()
    (dataset / "manifest.json").unlink()
    assert "is not a dataset" in message()
    (dataset / "plan.json").write_text("{}")
    assert "is not finished: run the same prepare-data command again" in message()


def test_selection_and_removed_come_back(tmp_path: Path) -> None:
    assert read_selection(tmp_path) is None
    assert read_removed(tmp_path) == Removed()
    write_selection(tmp_path, ["b", "a", "a"], {"min_score": 3})
    selection = read_selection(tmp_path)
    assert selection is not None
    assert (selection.clips, selection.rule) == (frozenset({"a", "b"}), {"min_score": 3})
    removed = Removed(frozenset({"p"}), frozenset(), frozenset({"c"}))
    write_removed(tmp_path, removed)
    assert read_removed(tmp_path) == removed
    assert removed.covers(drawn_clip("x", "p", 1).info)
    assert removed.covers(drawn_clip("c", "q", 1).info)
    assert not removed.covers(drawn_clip("d", "q", 1).info)
    for name in ("selection.json", "removed.json"):
        (tmp_path / name).write_text(json.dumps({"format": f"avatarkit-{name[:-5]}", "version": 1, "clips": 3}))
    with pytest.raises(InputError, match="is damaged"):
        read_selection(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        read_removed(tmp_path)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"x": math.nan})
    assert read_json(path) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("[1]")
    with pytest.raises(InputError, match="not a json object"):
        read_json(path)


def test_clip_info_is_read_strictly() -> None:
    info = drawn_clip("a", "x", score=math.inf).info
    values = info.to_json()
    assert values["score"] is None
    assert math.isnan(ClipInfo.from_json(values).score)
    for change, message in (
        ({"frames": "3"}, "field frames"),
        ({"frames": True}, "field frames"),
        ({"split": "all"}, "field split"),
        ({"colour": 1}, "unknown field colour"),
        ({"extra": {"a": 1}}, "field extra"),
    ):
        with pytest.raises(ValueError, match=message):
            ClipInfo.from_json({**values, **change})


def test_reasons_are_codes() -> None:
    with pytest.raises(ValueError, match="is not a code"):
        Rejected("c", "v", "p", "train", "crop", "Head too small", "")


def test_seconds_count_for_videos_alone(tmp_path: Path) -> None:
    assert drawn_clip("a", "x", 50, seed=0).info.seconds == 2.0
    photo = drawn_clip("p", "x", 1)
    assert photo.info.seconds == 0.0
    manifest = write_dataset(tmp_path / "photos", {"train": [[photo]]}, kind="photos")
    assert manifest.totals["train"].seconds == 0.0
    assert shard_name("test", 12) == "test-00012"
