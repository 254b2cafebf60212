"""Kept results: made once, whole or not at all, made again where damaged, the oldest gone first."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from avatarkit.cache import LOCKS, Cache
from avatarkit.errors import InputError, OutputError


def put(cache: Cache, key: int, size: int = 10, kind: str = "things") -> str:
    def make(at: Path) -> None:
        (at / "a").write_text(f"{key} " * size)

    return cache.fetch(kind, {"key": key}, make, lambda at: (at / "a").read_text())


def test_an_entry_is_made_once_and_shared(tmp_path: Path) -> None:
    first, second = Cache(tmp_path / "c", "program"), Cache(tmp_path / "c", "program")
    assert put(first, 1, 2) == put(second, 1, 99) == "1 1 "
    assert (first.made, second.made) == ({"things": 1}, {})


def test_another_program_or_key_finds_nothing(tmp_path: Path) -> None:
    assert put(Cache(tmp_path, "one"), 1, 1) == "1 "
    other = Cache(tmp_path, "two")
    assert (put(other, 1, 2), put(other, 2, 2)) == ("1 1 ", "2 2 ")


def test_many_threads_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make(at: Path) -> None:
        made.append(1)
        time.sleep(0.1)
        (at / "a").write_text("x")

    def work() -> None:
        Cache(tmp_path, "p").fetch("slow", {}, make, lambda at: (at / "a").read_text())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(at: Path) -> None:
        (at / "a").write_text("half")
        raise InputError("no face")

    with pytest.raises(InputError, match="no face"):
        Cache(tmp_path, "p").fetch("things", {}, make, lambda at: None)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and LOCKS not in path.parts] == []


def test_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "p")
    put(cache, 1)
    (entry,) = (tmp_path / "things").iterdir()
    (entry / "a").unlink()
    assert put(cache, 1, 1) == "1 "
    assert cache.made == {"things": 2}


def tampered(entry: Path, how: str, tmp_path: Path) -> None:
    """Spoil an entry in one of the ways in which strangers or accidents could."""
    mine = tmp_path / "mine"
    if how == "moved":
        entry.rename(mine)
        mine.rename(entry.with_name("0" * 64))
        shutil.copytree(entry.with_name("0" * 64), entry)
        (entry / "key").write_text("0" * 64)
    elif how == "linked":
        entry.rename(mine)
        entry.symlink_to(mine)
    elif how == "linked file":
        (entry / "a").rename(mine)
        (entry / "a").symlink_to(mine)
    elif how == "folder within":
        (entry / "b").mkdir()
    elif how == "pipe within":
        (entry / "a").unlink()
        os.mkfifo(entry / "a")
    else:
        shutil.rmtree(entry)
        {"pipe": os.mkfifo, "file": Path.touch}.get(how, lambda path: path.symlink_to("/nowhere/x"))(entry)


@pytest.mark.parametrize(
    "how", ["moved", "linked", "linked file", "folder within", "pipe within", "pipe", "file", "dangling link"]
)
def test_entries_that_are_something_else_are_made_again(tmp_path: Path, how: str) -> None:
    """Nothing is read, waited for, touched or removed behind a link."""
    cache = Cache(tmp_path / "c", "p")
    put(cache, 1)
    (entry,) = (tmp_path / "c" / "things").iterdir()
    tampered(entry, how, tmp_path)
    before = os.lstat(tmp_path / "mine") if (tmp_path / "mine").exists() else None
    assert put(cache, 1, 1) == "1 "
    assert entry.is_dir()
    assert not entry.is_symlink()
    assert {path.name for path in entry.iterdir()} == {"a", "key"}
    assert before is None or os.lstat(tmp_path / "mine") == before
    assert not [path for path in (tmp_path / "c" / "things").iterdir() if path.name.startswith(".")]


def test_least_recently_used_goes_first_and_leftovers_with_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "p", limit_bytes=242)
    put(cache, 1, 10)
    put(cache, 2, 10)
    entries = sorted((tmp_path / "things").iterdir(), key=lambda path: (path / "a").read_text())
    for path, age_s in zip(entries, (10, 20), strict=True):
        os.utime(path, (time.time() - age_s,) * 2)
    (tmp_path / "things" / ".0-partial-01234567").mkdir()
    put(cache, 3, 10)
    assert sorted((path / "a").read_text()[0] for path in (tmp_path / "things").iterdir()) == ["1", "3"]


def test_usage_and_clear(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", "p")
    put(cache, 1, 10)
    put(cache, 2, 5, kind="others")
    assert [(one.kind, one.entries, one.size) for one in cache.usage()] == [("others", 1, 74), ("things", 1, 84)]
    assert cache.clear() == 158
    assert not (tmp_path / "c").exists()
    assert cache.clear() == 0


def test_folder_with_other_files_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt"):
        Cache(tmp_path, "p").clear()
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(InputError, match="holds photos"):
        Cache(tmp_path, "p").clear()


def test_what_killed_processes_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "p")
    (tmp_path / "things" / ".0-partial-01234567").mkdir(parents=True)

    def make(at: Path) -> None:
        Cache(tmp_path, "p").sweep()
        (at / "a").write_text("x")

    assert cache.fetch("things", {}, make, lambda at: (at / "a").read_text()) == "x"
    assert len(list((tmp_path / "things").iterdir())) == 1


def test_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        put(Cache(tmp_path / "c", "p"), 1)
