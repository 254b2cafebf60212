"""Removal: the rest is as if they had never been there, whenever the program is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_clips import drawn_clip, write_dataset

from avatarkit.data import remove as module
from avatarkit.data.dataset import Dataset
from avatarkit.data.hold import LOCK, hold
from avatarkit.data.marks import Removed, read_removed, read_selection, write_selection
from avatarkit.data.remove import Removal, finish, remove
from avatarkit.data.shard import read_stats, shard_path
from avatarkit.data.verify import verify
from avatarkit.errors import InputError, OutputError, UsageError


def people(*names: str) -> Removed:
    return Removed(people=frozenset(names))


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_rest_is_as_if_they_had_never_been_there(dataset: Path, tmp_path: Path) -> None:
    untouched = shard_path(dataset, "val-00000").stat().st_mtime_ns
    assert remove(dataset, people("a")) == Removal(clips=2, frames=9, shards=2)
    never = tmp_path / "never"
    write_dataset(
        never,
        {
            "train": [[drawn_clip("b-1", "b", 4, seed=2)], [drawn_clip("c/1.x", "c", 5, seed=4)]],
            "val": [[drawn_clip("d-1", "d", 4, split="val", seed=5)]],
        },
        rejected=read_stats(dataset, "train-00000").rejected,  # type: ignore[union-attr]
    )
    expected, found = tree(never), tree(dataset)
    assert found.pop("removed.json")
    assert found == expected
    assert shard_path(dataset, "val-00000").stat().st_mtime_ns == untouched
    assert list(verify(dataset)) == []
    assert {info.identity for info in Dataset.open(dataset).clips()} == {"b", "c", "d"}


def test_videos_and_clips_can_be_named_too(dataset: Path) -> None:
    done = remove(dataset, Removed(videos=frozenset({"video-b-1"}), clips=frozenset({"a-2", "c/1.x"})))
    assert done == Removal(clips=3, frames=12, shards=2)
    assert [info.clip_id for info in Dataset.open(dataset).clips()] == ["a-1", "d-1"]
    assert Dataset.open(dataset).reader("train-00001").clips == []
    assert read_removed(dataset).clips == {"a-2", "c/1.x"}


def test_selection_records_and_reports_forget_them_too(dataset: Path) -> None:
    write_selection(dataset, ["a-1", "b-1", "d-1"], {"keep_top": 0.5})
    (dataset / "report.html").write_text("their faces")
    remove(dataset, people("b"))
    selection = read_selection(dataset)
    assert selection is not None
    assert selection.clips == {"a-1", "d-1"}
    assert selection.rule == {"keep_top": 0.5}
    assert read_stats(dataset, "train-00000").rejected == ()  # type: ignore[union-attr]
    assert not (dataset / "report.html").exists()


def test_again_removes_nothing_more(dataset: Path) -> None:
    remove(dataset, people("a"))
    before = tree(dataset)
    assert remove(dataset, people("a")) == Removal(clips=0, frames=0, shards=0)
    assert tree(dataset) == before
    assert remove(dataset, people("b")).clips == 1
    assert read_removed(dataset).people == {"a", "b"}


def test_unknown_names_change_nothing(dataset: Path) -> None:
    before = tree(dataset)
    with pytest.raises(UsageError, match="no person aa in the dataset; the nearest is a"):
        remove(dataset, people("a", "aa"))
    with pytest.raises(UsageError, match=r"no clip c/1\.z in the dataset; the nearest is c/1\.x"):
        remove(dataset, Removed(clips=frozenset({"c/1.z"})))
    with pytest.raises(UsageError, match="nothing to remove"):
        remove(dataset, Removed())
    assert tree(dataset) == before


def test_unfinished_datasets_are_refused(dataset: Path) -> None:
    (dataset / "manifest.json").unlink()
    with pytest.raises(InputError, match="is not a dataset"):
        remove(dataset, people("a"))


def test_one_writer_at_a_time(dataset: Path) -> None:
    with hold(dataset), pytest.raises(OutputError, match="another run is writing there"):
        remove(dataset, people("a"))
    assert remove(dataset, people("a")).clips == 2


def in_child(action: Callable[[], object], die_at: int) -> bool:
    """Run in a forked child that dies, without any clean-up, before its `die_at`th change on the disk."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    left = [die_at]

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **options: object) -> object:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return change(*args, **options)

        return wrapped

    for owner, name in ((Path, "replace"), (Path, "unlink"), (module, "sync_file"), (module, "count_shard")):
        setattr(owner, name, counted(getattr(owner, name)))
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def test_killed_at_any_moment_the_same_call_or_finish_completes_it(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda number: None)  # the machine lives on, and this is slow
    write_selection(dataset, ["a-1", "b-1"], {})
    before = tree(dataset)
    remove(dataset, people("a"))
    expected = tree(dataset)
    for die_at in range(100):
        for name in tree(dataset):
            (dataset / name).unlink()
        for name, data in before.items():
            (dataset / name).write_bytes(data)
        if in_child(lambda: remove(dataset, people("a")), die_at):
            break
        if die_at % 2 and (dataset / "removed.json").exists():
            finish(dataset)
        else:
            remove(dataset, people("a"))
        assert tree(dataset) == expected
        assert list(verify(dataset)) == []
    else:
        pytest.fail("the removal never ended")
    assert die_at > 8


def test_finish_without_a_removal_does_nothing(dataset: Path) -> None:
    before = tree(dataset)
    assert finish(dataset) == Removal(0, 0, 0)
    assert tree(dataset) == before
