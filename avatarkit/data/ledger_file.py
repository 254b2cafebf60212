"""The file of a ledger: its tables, and how it is opened so that SQLite does nothing that its bytes ask for."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

from avatarkit.errors import InputError
from avatarkit.reading import check_regular, read_end, shown

BUSY_S = 60.0
LONGEST_ROW = 1 << 20
"""Bytes."""
_JOURNAL_END = bytes.fromhex("d9d505f920a163d7")
"""Of a journal that names another one; SQLite's file format, section 3."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (
    sample TEXT PRIMARY KEY, shard TEXT, video TEXT, identity TEXT, split TEXT, state TEXT, stage TEXT, reason TEXT,
    detail TEXT, attempts INTEGER DEFAULT 0, worker TEXT, updated_s REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS videos (
    video TEXT, shard TEXT, state TEXT, attempts INTEGER DEFAULT 0, crashes INTEGER DEFAULT 0, reason TEXT,
    fetch_s REAL DEFAULT 0, process_s REAL DEFAULT 0, frames INTEGER DEFAULT 0, bytes INTEGER DEFAULT 0, worker TEXT,
    updated_s REAL, PRIMARY KEY (video, shard)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (
    shard TEXT PRIMARY KEY, state TEXT, attempts INTEGER DEFAULT 0, worker TEXT, started_s REAL, sealed_s REAL,
    seconds REAL, frames INTEGER, clips INTEGER, rejected INTEGER, bytes INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS samples_by_shard ON samples (shard);
CREATE INDEX IF NOT EXISTS videos_by_shard ON videos (shard);
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, host TEXT, pid INTEGER, engine TEXT, workers INTEGER, started_s REAL, ended_s REAL,
    outcome TEXT);
CREATE TABLE IF NOT EXISTS events (time_s REAL, kind TEXT, shard TEXT, video TEXT, worker TEXT, text TEXT);
"""


def connected(path: Path, address: str) -> sqlite3.Connection:
    """Open a ledger, or a file that is to be one.

    Args:
        path: the file. address: what SQLite opens it by: the path, or a URI.

    Raises:
        InputError: it or what SQLite keeps beside it is a link or a pipe; its journal names another file, which SQLite
            would delete; it has views, triggers or tables that are not ours, which could compute without end.
        sqlite3.Error: it cannot be opened.
    """
    journal = path.with_name(f"{path.name}-journal")
    # None of them is opened but the journal: closing a file gives up all locks that this process has on it.
    for beside in (path, journal, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        check_regular(beside)
    if read_end(journal, len(_JOURNAL_END)) == _JOURNAL_END:
        raise InputError(f"{journal}: is a journal that names another file; move both away and repeat")
    # Plain autocommit: each method opens the transaction that it needs.
    db = sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, uri=address.startswith("file:"))
    try:
        if sys.version_info >= (3, 11):
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW)
        strange = [name for name, made in _schema(db).items() if made != _OURS.get(name)]
        if strange:
            raise InputError(f"{path}: is no ledger: its {shown(strange[0])} is not ours; move it away and repeat")
    except BaseException:
        db.close()
        raise
    return db


def _schema(db: sqlite3.Connection) -> dict[str, str]:
    """What made each table, index, view and trigger of a database, by name."""
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {str(name): " ".join(str(sql).split()) for name, sql in rows}


with contextlib.closing(sqlite3.connect(":memory:")) as _empty:
    _empty.executescript(SCHEMA)
    _OURS = _schema(_empty)
