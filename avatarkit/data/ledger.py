"""The ledger: what happened to every sample, video and shard, with attempts, times and workers; an SQLite file.

It may be lost without harm: shards, their counts and the plan decide what is done, and fill it again. Times, hosts and
attempts stand here and nowhere else, so that all other files are the same after any number of interruptions.

| table | a row for | columns beside its key |
|---|---|---|
| samples | clip or photo | shard, video, identity, split, state (planned, accepted, rejected, done), stage, reason, detail, attempts, worker, updated_s |
| videos | video in a shard | state (planned, fetched, done, rejected), attempts, crashes, reason, fetch_s, process_s, frames, bytes, worker, updated_s |
| shards | shard | state (planned, running, sealed), attempts, worker, started_s, sealed_s, seconds, frames, clips, rejected, bytes |
| runs | run | host, pid, engine, workers, started_s, ended_s, outcome |
| events | what is worth knowing later | time_s, kind, shard, video, worker, text |

A sample is `done` where it was a whole video and its clips have rows of their own. Seconds since 1970 end in `_s`.
"""  # noqa: E501  the table

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from avatarkit.data.clip import ClipInfo, Rejected
from avatarkit.data.ledger_file import SCHEMA, connected
from avatarkit.data.plan import Plan, PlannedShard, sample_id
from avatarkit.errors import InputError, OutputError

FILE = "ledger.sqlite"
VERSION = 1
Outcome = Literal["finished", "interrupted", "failed", "incomplete"]

@dataclass(frozen=True)
class VideoResult:
    """What a worker tells of a video when it is done: seconds, frames of its clips, bytes of the original."""

    video: str
    fetch_s: float
    process_s: float
    frames: int
    bytes: int


class Ledger:
    """An open ledger; one process writes it, any number may read it meanwhile.

    Raises:
        InputError: the file is no ledger, or of another version.
        OutputError: it cannot be made, or the disk is full (from every method that writes).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        with self._guard():
            self._db = connected(path, str(path))
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                self._db.close()
                raise InputError(f"{path}: is ledger version {version}, this program reads {VERSION}; move it away")
            # A network file system may refuse WAL; the journal then stays as it is.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version={VERSION}")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the second time nothing happens."""
        if not self.closed:
            self.closed = True
            # One file without companions is left, if nobody else has it open.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.close()

    def begin(self, plan: Plan, *, engine: str, workers: int) -> int:
        """Note a run; the plan's samples get rows where they have none. Returns the run's number."""
        self.add(plan)
        with self._transaction():
            row = (socket.gethostname(), os.getpid(), engine, workers, time.time())
            sql = "INSERT INTO runs (host, pid, engine, workers, started_s) VALUES (?, ?, ?, ?, ?)"
            return int(self._db.execute(sql, row).lastrowid or 0)

    def add(self, plan: Plan) -> None:
        """Give the plan's shards, videos and samples rows where they have none."""
        with self._transaction():
            if self._db.execute("SELECT count(*) FROM shards").fetchone()[0] < len(plan.shards):
                self._add_plan(plan)

    def end(self, run: int, outcome: Outcome) -> None:
        """Note how a run ended; a run without an end was killed."""
        with self._transaction():
            self._db.execute("UPDATE runs SET ended_s=?, outcome=? WHERE run=?", (time.time(), outcome, run))

    def event(self, kind: str, text: str, *, shard: str = "", video: str = "", worker: str = "") -> None:
        """Keep a line about something that happened."""
        with self._transaction():
            row = (time.time(), kind, shard, video, worker, text)
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)

    def start_shard(self, shard: str, worker: str) -> None:
        """Count an attempt at a shard."""
        with self._transaction():
            sql = "UPDATE shards SET state='running', attempts=attempts+1, worker=?, started_s=? WHERE shard=?"
            self._db.execute(sql, (worker, time.time(), shard))

    def start_video(self, shard: str, video: str, worker: str) -> None:
        """Count an attempt at a video."""
        with self._transaction():
            sql = "UPDATE videos SET attempts=attempts+1, worker=?, updated_s=? WHERE video=? AND shard=?"
            self._db.execute(sql, (worker, time.time(), video, shard))

    def crash(self, shard: str, video: str, reason: str, worker: str) -> int:
        """Count a crash that was seen; returns how many this video has had in this shard."""
        with self._transaction():
            sql = "UPDATE videos SET crashes=crashes+1, reason=?, updated_s=? WHERE video=? AND shard=?"
            self._db.execute(sql, (reason, time.time(), video, shard))
            row = self._db.execute("SELECT crashes FROM videos WHERE video=? AND shard=?", (video, shard)).fetchone()
        return int(row[0]) if row else 1

    def poisoned(self, shard: str, limit: int) -> dict[str, str]:
        """Videos of a shard that have crashed `limit` times or more, and how."""
        with self._guard():
            sql = "SELECT video, reason FROM videos WHERE shard=? AND crashes>=?"
            return {str(video): str(reason) for video, reason in self._db.execute(sql, (shard, limit))}

    def seal(
        self,
        shard: str,
        clips: Iterable[ClipInfo],
        rejected: Iterable[Rejected],
        *,
        results: Iterable[VideoResult] = (),
        worker: str = "",
        seconds: float | None = None,
        size: int = 0,
    ) -> None:
        """Take in a sealed shard as a whole.

        Args:
            shard: its name. clips, rejected: what became of its samples.
            results: what each video took; empty where another run made the shard.
            worker: who made it. seconds: how long that took. size: bytes of its file.
        """
        clips, rejected, now = list(clips), list(rejected), time.time()
        with self._transaction():
            self._db.executemany(_UPSERT_SAMPLE, (_accepted_row(clip, shard, worker, now) for clip in clips))
            self._db.executemany(_UPSERT_SAMPLE, (_rejected_row(item, shard, worker, now) for item in rejected))
            # What is still planned was a whole video, whose clips have come under their own names.
            self._db.execute("UPDATE samples SET state='done' WHERE shard=? AND state='planned'", (shard,))
            self._db.execute(
                "UPDATE samples SET attempts=max(1, (SELECT attempts FROM videos WHERE videos.video=samples.video"
                " AND videos.shard=samples.shard)) WHERE shard=?",
                (shard,),
            )
            self._db.executemany(
                "UPDATE videos SET fetch_s=?, process_s=?, frames=?, bytes=?, updated_s=? WHERE video=? AND shard=?",
                [(r.fetch_s, r.process_s, r.frames, r.bytes, now, r.video, shard) for r in results],
            )
            self._db.execute("UPDATE videos SET state='rejected' WHERE shard=?", (shard,))
            accepted = [(video, shard) for video in {clip.video for clip in clips}]
            self._db.executemany("UPDATE videos SET state='done' WHERE video=? AND shard=?", accepted)
            frames = sum(clip.frames for clip in clips)
            values = (worker, now, seconds, frames, len(clips), len(rejected), size, shard)
            self._db.execute(
                "UPDATE shards SET state='sealed', worker=?, sealed_s=?, seconds=?, frames=?, clips=?, rejected=?,"
                " bytes=? WHERE shard=?",
                values,
            )

    def reopen(self, shard: str) -> None:
        """Forget what became of a shard's samples; attempts and crashes stay."""
        with self._transaction():
            self._db.execute("UPDATE shards SET state='planned', sealed_s=NULL WHERE shard=?", (shard,))
            self._db.execute("UPDATE videos SET state='planned' WHERE shard=?", (shard,))
            # Clips that came out of a whole video go; its own row waits for others.
            self._db.execute(
                "DELETE FROM samples WHERE shard=? AND sample!=video AND EXISTS"
                " (SELECT 1 FROM samples AS whole WHERE whole.sample=samples.video AND whole.state='done')",
                (shard,),
            )
            sql = "UPDATE samples SET state='planned', stage='', reason='', detail='' WHERE shard=?"
            self._db.execute(sql, (shard,))

    def shard_states(self) -> dict[str, str]:
        """State of every shard."""
        with self._guard():
            return {str(name): str(state) for name, state in self._db.execute("SELECT shard, state FROM shards")}

    def funnel(self) -> dict[tuple[str, str, str], int]:
        """How many samples there are of each (state, stage, reason); videos that became several clips not counted."""
        sql = "SELECT state, stage, reason, count(*) FROM samples WHERE state!='done' GROUP BY state, stage, reason"
        with self._guard():
            return {(str(a), str(b or ""), str(c or "")): int(n) for a, b, c, n in self._db.execute(sql)}

    def merge(self, other: Path) -> None:
        """Take in what another ledger of the same plan knows and this one does not, such as a SLURM task's."""
        connected(other, str(other)).close()  # looked through before any of it is used
        with self._guard():
            self._db.execute("ATTACH DATABASE ? AS other", (str(other),))
        try:
            with self._transaction():
                newer = "SELECT shard FROM other.shards WHERE state='sealed'"
                for table in ("samples", "videos", "shards"):
                    self._db.execute(
                        f"INSERT OR REPLACE INTO {table} SELECT * FROM other.{table} WHERE shard IN ({newer})"
                    )
                columns = "host, pid, engine, workers, started_s, ended_s, outcome"
                self._db.execute(f"INSERT INTO runs ({columns}) SELECT {columns} FROM other.runs")
                self._db.execute("INSERT INTO events SELECT * FROM other.events")
        finally:
            with self._guard():
                self._db.execute("DETACH DATABASE other")

    def _add_plan(self, plan: Plan) -> None:
        for shard in plan.shards:
            self._db.execute("INSERT OR IGNORE INTO shards (shard, state) VALUES (?, 'planned')", (shard.name,))
            videos = [(item.key, shard.name) for item in shard.items]
            self._db.executemany("INSERT OR IGNORE INTO videos (video, shard, state) VALUES (?, ?, 'planned')", videos)
            self._db.executemany(
                "INSERT OR IGNORE INTO samples (sample, shard, video, identity, split, state)"
                " VALUES (?, ?, ?, ?, ?, 'planned')",
                _planned_rows(plan, shard),
            )
        now = time.time()
        self._db.executemany(_UPSERT_SAMPLE, (_rejected_row(entry, "", "", now) for entry in plan.rejected()))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Say in one line what is wrong with the file."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OutputError(f"{self.path}: cannot be written: {error}; free some space and repeat") from error
            raise InputError(f"{self.path}: is no ledger ({error}); move it away and repeat") from error


_UPSERT_SAMPLE = (
    "INSERT INTO samples (sample, shard, video, identity, split, state, stage, reason, detail, worker, updated_s)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sample) DO UPDATE SET shard=excluded.shard,"
    " state=excluded.state, stage=excluded.stage, reason=excluded.reason, detail=excluded.detail,"
    " worker=excluded.worker, updated_s=excluded.updated_s"
)


Row = tuple[str, str, str, str, str, str, str, str, str, str, float]


def _accepted_row(clip: ClipInfo, shard: str, worker: str, now_s: float) -> Row:
    return (clip.clip_id, shard, clip.video, clip.identity, clip.split, "accepted", "", "", "", worker, now_s)


def _rejected_row(one: Rejected, shard: str, worker: str, now_s: float) -> Row:
    what = one.stage, one.reason, one.detail
    return (one.clip_id, shard, one.video, one.identity, one.split, "rejected", *what, worker, now_s)


def _planned_rows(plan: Plan, shard: PlannedShard) -> Iterator[tuple[str, str, str, str, str]]:
    for item in shard.items:
        for track in item.tracks:
            name = sample_id(track.identity, item.key, track.utterance)
            yield name, shard.name, item.key, track.identity, shard.split


def read_table(path: Path, table: str) -> list[Mapping[str, object]]:
    """All rows of one table, by column, for reports; an empty list where there is none yet.

    Raises:
        InputError: the file is no ledger.
    """
    if table not in ("samples", "videos", "shards", "runs", "events"):
        raise ValueError(f"no table {table}")
    if not path.exists():
        return []
    try:
        db = connected(path, f"{path.absolute().as_uri()}?mode=ro")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                return []  # in the making
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]
        finally:
            db.close()
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise InputError(f"{path}: is no ledger ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
