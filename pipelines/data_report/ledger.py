"""Throughput from a run's ledger, which is kept for people and may be gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from avatarkit.pipelines.data_report.charts import number

MAX_RUNS = 12


def throughput(path: Path) -> dict[str, Any] | None:
    """Rates, busy time and runs; None where there is no ledger, or it is of a kind that is not known.

    The file is opened for reading only: a run that is under way is not disturbed.
    """
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as base:
            base.row_factory = sqlite3.Row
            return _read(base)
    except sqlite3.Error:
        # Reports are made of the shards; a ledger that is damaged or locked takes away this section alone.
        return None


def _read(base: sqlite3.Connection) -> dict[str, Any]:
    videos = base.execute(
        "SELECT COUNT(*) AS count, SUM(attempts > 1) AS again, SUM(crashes) AS crashes, SUM(fetch_s) AS fetch_s,"
        " SUM(process_s) AS process_s, SUM(frames) AS frames, SUM(bytes) AS bytes FROM videos"
    ).fetchone()
    shards = base.execute(
        "SELECT COUNT(*) AS count, COUNT(DISTINCT worker) AS workers FROM shards WHERE state = 'sealed'"
    ).fetchone()
    rows = base.execute(
        "SELECT started_s, ended_s, engine, workers, outcome FROM runs ORDER BY started_s, run"
    ).fetchall()
    fetch_s, process_s, frames = (float(videos[name] or 0.0) for name in ("fetch_s", "process_s", "frames"))
    runs = [_run(row) for row in rows]
    # How long a killed run worked is not known, and the frames are those of all runs.
    wall_s = sum(run["hours"] for run in runs) * 3600.0 if all(row["ended_s"] for row in rows) else 0.0
    summary = {
        "Videos": f"{videos['count']:,}",
        "Videos tried more than once": f"{int(videos['again'] or 0):,}",
        "Crashes of a worker": f"{int(videos['crashes'] or 0):,}",
        "Shards sealed": f"{shards['count']:,} by {shards['workers']:,} worker{'s' * (shards['workers'] != 1)}",
        "Frames": f"{frames:,.0f}",
    }
    if process_s > 0:
        summary["Frames a second, one worker, while processing"] = number(frames / process_s)
    if wall_s > 0:
        summary["Frames a second, all workers, whole runs"] = number(frames / wall_s)
    if fetch_s > 0 and videos["bytes"]:
        summary["Megabytes a second while fetching"] = number(float(videos["bytes"]) / 1e6 / fetch_s)
    busy = {"Fetch": round(fetch_s, 3), "Process": round(process_s, 3)}
    return {
        "summary": summary,
        "seconds": {name: value for name, value in busy.items() if value > 0},
        "runs": runs[-MAX_RUNS:],
    }


def _run(row: sqlite3.Row) -> dict[str, Any]:
    begun_s, ended_s = float(row["started_s"] or 0.0), float(row["ended_s"] or 0.0)
    begun = datetime.fromtimestamp(begun_s, timezone.utc).strftime("%Y-%m-%d %H:%M")
    return {
        "begun": begun,
        "engine": str(row["engine"] or ""),
        "workers": int(row["workers"] or 0),
        "hours": round(max(0.0, ended_s - begun_s) / 3600.0, 6),
        "outcome": str(row["outcome"] or "killed, or still running"),
    }
