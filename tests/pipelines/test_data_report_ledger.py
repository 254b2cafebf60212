"""Throughput in the dataset report: sums over a ledger, and nothing where it cannot be known."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from avatarkit.data.ledger import Ledger
from avatarkit.pipelines.data_report.facts import flat
from avatarkit.pipelines.data_report.ledger import throughput


def ledger(folder: Path) -> Path:
    """A ledger of one run over two videos."""
    path = folder / "ledger.sqlite"
    with Ledger(path):
        pass
    base = sqlite3.connect(path)
    video = "INSERT INTO videos (video, shard, state, attempts, crashes, fetch_s, process_s, frames, bytes) VALUES "
    base.execute(video + "('a', 's', 'done', 1, 0, 10.0, 50.0, 4000, 2000000)")
    base.execute(video + "('b', 's', 'done', 3, 1, 10.0, 50.0, 4000, 2000000)")
    base.execute("INSERT INTO shards (shard, state, worker, frames) VALUES ('s', 'sealed', 'w0', 8000)")
    run = "INSERT INTO runs (engine, workers, started_s, ended_s, outcome) VALUES "
    base.execute(run + "('local', 2, 1700000000.0, 1700000100.0, 'finished')")
    base.commit()
    base.close()
    return path


def test_sums(tmp_path: Path) -> None:
    figures = throughput(ledger(tmp_path))
    assert figures is not None
    assert figures["summary"] == {
        "Videos": "2",
        "Videos tried more than once": "1",
        "Crashes of a worker": "1",
        "Shards sealed": "1 by 1 worker",
        "Frames": "8,000",
        "Frames a second, one worker, while processing": "80",
        "Frames a second, all workers, whole runs": "80",
        "Megabytes a second while fetching": "0.2",
    }
    assert figures["seconds"] == {"Fetch": 20.0, "Process": 100.0}
    assert figures["runs"] == [
        {"begun": "2023-11-14 22:13", "engine": "local", "workers": 2, "hours": 0.027778, "outcome": "finished"}
    ]
    assert flat(figures["summary"])[0] == ("Videos", "2")


def test_a_killed_run_has_no_known_length(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    base = sqlite3.connect(path)
    base.execute("INSERT INTO runs (engine, workers, started_s) VALUES ('local', 2, 1700000200.0)")
    base.commit()
    base.close()
    figures = throughput(path)
    assert figures is not None
    assert "Frames a second, all workers, whole runs" not in figures["summary"]
    assert figures["runs"][1]["outcome"] == "killed, or still running"


def test_a_ledger_in_use_can_be_read(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    with Ledger(path) as open_ledger:
        open_ledger.event("note", "something")
        assert throughput(path) is not None


def test_no_ledger_or_no_use(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    assert throughput(path) is None
    path.write_bytes(b"damaged" * 100)
    assert throughput(path) is None
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    assert throughput(path) is None
