"""SLURM arrays, by their variables: each shard once, side by side, and the last task finishes."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest
from prepare_kit import contents, job_of, write_videos

from avatarkit.data.ledger import read_table
from avatarkit.data.plan_file import read_plan
from avatarkit.errors import OutputError, UsageError
from avatarkit.pipelines.prepare.report import PrepareReport
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.work.slurm import ArrayJob, ArrayReport, array_job

WORDS = ["ok 1", "ok 2", "reject", "crash", "ok 1", "ok 1", "ok 1", "ok 1", "ok 1"]


def task(number: int, count: int) -> dict[str, str]:
    return {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(count)}


def test_tasks_share_the_shards_without_overlap() -> None:
    shards = list(range(11))
    parts = [ArrayJob(index, 4).part(shards) for index in range(4)]
    assert parts[1] == [1, 5, 9]
    assert sorted(shard for part in parts for shard in part) == shards


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        (task(3, 8), (3, 8)),
        ({**task(7, 4), "SLURM_ARRAY_TASK_MIN": "4"}, (3, 4)),
        ({**task(6, 4), "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "2"}, (3, 4)),
    ],
)
def test_place_in_the_array(variables: dict[str, str], expected: tuple[int, int] | None) -> None:
    found = array_job(variables)
    assert expected is None if found is None else (found.index, found.count) == expected


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_ARRAY_TASK_ID": "3"},
        task(8, 8),
        {**task(3, 4), "SLURM_ARRAY_TASK_STEP": "2"},
        {**task(3, 4), "SLURM_ARRAY_TASK_STEP": "0"},
        {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "4"},
    ],
)
def test_place_that_cannot_be_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--runner slurm"):
        array_job(variables)


def test_array_makes_the_bytes_of_a_local_run(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", WORDS)
    prepare(job_of(folder, tmp_path / "local"))
    job = job_of(folder, tmp_path / "array", run={"runner": "slurm"})
    first = prepare(job, environment={}, command="avatarkit prepare-data videos 'my clips' --runner slurm")
    assert isinstance(first, ArrayReport)
    lines = first.summary_lines()
    assert lines[1].startswith(f"sbatch --array=0-{len(read_plan(job.out).shards) - 1} ")
    assert lines[1].endswith("--wrap 'avatarkit prepare-data videos '\\''my clips'\\'' --runner slurm'")
    reports = [prepare(job, environment=task(number, 2)) for number in (1, 0)]
    assert [isinstance(report, PrepareReport) and report.finished for report in reports] == [False, True]
    assert contents(tmp_path / "array") == contents(tmp_path / "local")
    samples = read_table(job.out / "ledger.sqlite", "samples")
    assert {row["state"] for row in samples} == {"accepted", "rejected", "done"}
    runs = read_table(job.out / "ledger.sqlite", "runs")
    assert [(row["engine"], row["outcome"]) for row in runs] == [("slurm", "finished")] * 2


def test_same_task_twice_is_refused(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 2), tmp_path / "out", run={"runner": "slurm"})
    prepare(job, environment={})
    with (
        filelock.FileLock(job.out / ".work" / "task-00000-of-00002.lock"),
        pytest.raises(OutputError, match="task 00000-of-00002 is at work here"),
    ):
        prepare(job, environment=task(0, 2))


def test_lost_task_is_made_up_for_by_a_local_run(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", ["ok 1"] * 4)
    job = job_of(folder, tmp_path / "out", run={"runner": "slurm"})
    report = prepare(job, environment=task(0, 3))
    assert isinstance(report, PrepareReport)
    assert report.waiting
    local = prepare(job_of(folder, tmp_path / "out"))
    assert isinstance(local, PrepareReport)
    assert local.finished
    states = {row["state"] for row in read_table(job.out / "ledger.sqlite", "shards")}
    assert states == {"sealed"}
