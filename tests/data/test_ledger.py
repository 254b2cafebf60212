"""The ledger: states, attempts, crashes, merging, and what it says of a damaged or full file."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_clips import drawn_clip

from avatarkit.data.clip import ClipInfo, Rejected
from avatarkit.data.ledger import FILE, Ledger, VideoResult, read_table
from avatarkit.data.plan import Dropped, Plan, PlannedItem, PlannedShard, PlannedTrack
from avatarkit.errors import InputError, OutputError


def plan_of(kind: str = "voxceleb2") -> Plan:
    first = PlannedItem("vid1", (PlannedTrack("id1", "u1", 10), PlannedTrack("id1", "u2", 10)))
    second = PlannedItem("vid2", (PlannedTrack("id1", "u1", 10),))
    third = PlannedItem("vid3", (PlannedTrack("id2", "u1" if kind == "voxceleb2" else "", 10),))
    shards = (PlannedShard("train-00000", "train", (first, second)), PlannedShard("val-00000", "val", (third,)))
    dropped = Dropped("vid4", "train", (("id3", "u1"),), "no-original", "not there")
    return Plan(kind, {}, {}, shards, (dropped,))  # type: ignore[arg-type]


def states(path: Path) -> dict[str, str]:
    return {str(row["sample"]): str(row["state"]) for row in read_table(path, "samples")}


def clip(name: str, identity: str, video: str) -> ClipInfo:
    return replace(drawn_clip(name, identity=identity).info, video=video)


def rejected(name: str, video: str, reason: str = "no-face") -> Rejected:
    return Rejected(name, video, "id1", "train", "track", reason, "nobody there")


def test_planned_samples_have_rows_and_dropped_ones_their_reason(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of(), engine="local", workers=2)
        ledger.begin(plan_of(), engine="local", workers=2)
        assert ledger.funnel() == {("planned", "", ""): 4, ("rejected", "plan", "no-original"): 1}
    assert states(tmp_path / FILE) == {
        "id1-vid1-u1": "planned", "id1-vid1-u2": "planned", "id1-vid2-u1": "planned", "id2-vid3-u1": "planned",
        "id3-vid4-u1": "rejected",
    }  # fmt: skip
    assert len(read_table(tmp_path / FILE, "runs")) == 2


def test_sealed_shard_is_taken_in_as_a_whole(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE) as ledger:
        run = ledger.begin(plan_of(), engine="local", workers=2)
        ledger.start_shard("train-00000", "w1")
        ledger.start_video("train-00000", "vid1", "w1")
        ledger.start_video("train-00000", "vid1", "w1")
        clips = [clip("id1-vid1-u1", "id1", "vid1"), clip("id1-vid2-u1", "id1", "vid2")]
        results = [VideoResult("vid1", 1.5, 2.5, 4, 1000)]
        refusals = [rejected("id1-vid1-u2", "vid1")]
        for _ in range(2):
            ledger.seal("train-00000", clips, refusals, results=results, worker="w1", seconds=9.0, size=77)
        ledger.end(run, "finished")
        assert ledger.shard_states() == {"train-00000": "sealed", "val-00000": "planned"}
    rows = {row["sample"]: row for row in read_table(tmp_path / FILE, "samples")}
    assert len(rows) == 5
    assert (rows["id1-vid1-u1"]["state"], rows["id1-vid1-u1"]["attempts"]) == ("accepted", 2)
    refused = rows["id1-vid1-u2"]
    assert [refused[name] for name in ("state", "stage", "reason", "detail")] == [
        "rejected", "track", "no-face", "nobody there",
    ]  # fmt: skip
    video = next(row for row in read_table(tmp_path / FILE, "videos") if row["video"] == "vid1")
    assert [video[name] for name in ("state", "attempts", "fetch_s", "process_s", "frames", "bytes")] == [
        "done", 2, 1.5, 2.5, 4, 1000,
    ]  # fmt: skip
    shard = next(row for row in read_table(tmp_path / FILE, "shards") if row["shard"] == "train-00000")
    assert [shard[name] for name in ("attempts", "clips", "rejected", "frames", "bytes", "seconds")] == [
        1, 2, 1, 8, 77, 9.0,
    ]  # fmt: skip


def test_whole_videos_end_as_done_and_reopen_with_their_clips_gone(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of("videos"), engine="local", workers=1)
        pieces = [clip("vid3-00", "id2", "vid3"), clip("vid3-01", "id2", "vid3")]
        ledger.seal("val-00000", pieces, [])
        assert states(tmp_path / FILE)["vid3"] == "done"
        assert ledger.funnel()["accepted", "", ""] == 2
        ledger.reopen("val-00000")
        assert {name: state for name, state in states(tmp_path / FILE).items() if "vid3" in name} == {"vid3": "planned"}
        ledger.seal("val-00000", pieces[:1], [])
    assert sorted(name for name in states(tmp_path / FILE) if "vid3" in name) == ["vid3", "vid3-00"]


def test_crashes_are_counted_per_video_and_shard(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of(), engine="local", workers=1)
        assert ledger.crash("train-00000", "vid1", "crashed", "w") == 1
        assert ledger.poisoned("train-00000", 2) == {}
        assert ledger.crash("train-00000", "vid1", "timeout", "w") == 2
        assert ledger.poisoned("train-00000", 2) == {"vid1": "timeout"}
        assert ledger.poisoned("val-00000", 2) == {}


def test_ledger_of_a_task_is_merged(tmp_path: Path) -> None:
    with Ledger(tmp_path / "task.sqlite") as task:
        run = task.begin(plan_of(), engine="slurm", workers=1)
        task.seal("val-00000", [clip("id2-vid3-u1", "id2", "vid3")], [])
        task.event("note", "hello", shard="val-00000")
        task.end(run, "finished")
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of(), engine="local", workers=1)
        ledger.merge(tmp_path / "task.sqlite")
        assert ledger.shard_states() == {"train-00000": "planned", "val-00000": "sealed"}
    assert states(tmp_path / FILE)["id2-vid3-u1"] == "accepted"
    assert [row["text"] for row in read_table(tmp_path / FILE, "events")] == ["hello"]
    assert sorted(str(row["engine"]) for row in read_table(tmp_path / FILE, "runs")) == ["local", "slurm"]


def test_closed_ledger_is_one_file_and_may_be_closed_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / FILE)
    ledger.begin(plan_of(), engine="local", workers=1)
    assert (tmp_path / f"{FILE}-wal").exists()
    ledger.close()
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_reader_beside_a_writer(tmp_path: Path) -> None:
    assert read_table(tmp_path / FILE, "samples") == []
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of(), engine="local", workers=1)
        assert len(read_table(tmp_path / FILE, "samples")) == 5
    with pytest.raises(ValueError, match="no table secrets"):
        read_table(tmp_path / FILE, "secrets")


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    with pytest.raises(InputError, match=r"is no ledger .*; move it away and repeat"):
        Ledger(tmp_path / FILE)
    with pytest.raises(InputError, match="is no ledger"):
        read_table(tmp_path / FILE, "samples")
    db = sqlite3.connect(tmp_path / "new.sqlite")
    db.execute("PRAGMA user_version=7")
    db.close()
    with pytest.raises(InputError, match="is ledger version 7, this program reads 1"):
        Ledger(tmp_path / "new.sqlite")


def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE) as ledger:
        ledger.begin(plan_of(), engine="local", workers=1)
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(OutputError, match="cannot be written: database or disk is full; free some space"):
            ledger.event("note", "x" * 400_000)
        ledger._db.execute("PRAGMA max_page_count=100000")
        ledger.event("note", "goes on")


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"


@pytest.mark.parametrize(
    "made",
    [
        ["DROP TABLE events", f"CREATE VIEW events AS {ENDLESS}"],
        [f"CREATE TRIGGER t AFTER INSERT ON events BEGIN INSERT INTO runs (run) {ENDLESS}; END"],
        ["DROP TABLE events", "CREATE TABLE events (time_s, text AS (zeroblob(900000000)))"],
        ["CREATE VIRTUAL TABLE words USING fts5(text)"],
        ["CREATE INDEX i ON events (hex(zeroblob(100000000)))"],
    ],
)
def test_databases_that_compute_by_themselves_are_no_ledgers(tmp_path: Path, made: list[str]) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        for sql in made:
            db.execute(sql)
        db.commit()
    began = time.thread_time()
    with pytest.raises(InputError, match="is not ours"):
        read_table(path, "events")
    with pytest.raises(InputError, match="is not ours"):
        Ledger(path)
    with Ledger(tmp_path / "own.sqlite") as own, pytest.raises(InputError, match="is not ours"):
        own.merge(path)
    assert time.thread_time() - began < 10


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 has no limits yet")
def test_rows_of_a_gigabyte_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO events VALUES (1, zeroblob(3000000), '', '', '', '')")
        db.commit()
    with pytest.raises(InputError, match="is no ledger"):
        read_table(path, "events")


def test_a_journal_that_names_another_file_deletes_nothing(tmp_path: Path) -> None:
    """SQLite itself rolls such a journal back, and deletes the file whose name stands at its end."""
    path, mine = tmp_path / "ledger.sqlite", tmp_path / "mine.txt"
    mine.write_text("mine")
    Ledger(path).close()
    magic, name, page = bytes.fromhex("d9d505f920a163d7"), str(mine).encode(), 4096
    with closing(sqlite3.connect(path)) as db:
        count = db.execute("PRAGMA page_count").fetchone()[0]
    head = (magic + struct.pack(">IIIII", 0, 7, count, 512, page)).ljust(512, b"\0")
    end = struct.pack(">I", (1 << 30) // page + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    (tmp_path / "ledger.sqlite-journal").write_bytes(head + end)
    for read in (Ledger, lambda at: read_table(at, "events"), lambda at: Ledger(tmp_path / "own.sqlite").merge(at)):
        with pytest.raises(InputError, match="names another file"):
            read(path)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_no_link_and_no_pipe_is_opened_beside_a_ledger(tmp_path: Path, ending: str, kind: str) -> None:
    path, mine = tmp_path / "ledger.sqlite", tmp_path / "mine"
    Ledger(path).close()
    if not ending:
        path.rename(mine)
    mine.touch()
    before = mine.read_bytes()
    beside = path.with_name(path.name + ending)
    beside.symlink_to(mine) if kind == "link" else os.mkfifo(beside)
    for read in (Ledger, lambda at: read_table(at, "events")):
        with pytest.raises(InputError, match="is a link, or no regular file"):
            read(path)
    assert mine.read_bytes() == before
