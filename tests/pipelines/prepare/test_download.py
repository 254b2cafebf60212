"""Fetching as part of a run: what fails is classed, what may pass waits, originals go when they are not needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prepare_kit import VIDEO_IDS, Notices, contents, voxceleb_job, voxceleb_tree

from avatarkit.data.dataset import Dataset
from avatarkit.data.ledger import Ledger, read_table
from avatarkit.data.plan import Plan
from avatarkit.errors import DependencyError
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.jobs import JobMaker
from avatarkit.pipelines.prepare.planning import make_plan
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.watch import RunWatcher
from avatarkit.work import pool as pool_module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the site: what each id gives."""
    voxceleb_tree(tmp_path / "txt")
    folder = tmp_path / "site"
    folder.mkdir()
    for video in VIDEO_IDS:
        (folder / video).write_text("ok 1")
    monkeypatch.setenv("FAKE_SITE", str(folder))
    return folder


def job_of(site: Path, **run: object) -> PrepareJob:
    return voxceleb_job(site.parent, site.parent / "out", download=True, run=run)


def rejected_of(job: PrepareJob) -> dict[str, tuple[str, str]]:
    rows = read_table(job.out / "ledger.sqlite", "samples")
    return {str(r["video"]): (str(r["stage"]), str(r["reason"])) for r in rows if r["state"] == "rejected"}


def test_fetched_videos_are_noted_and_deleted(site: Path) -> None:
    job = job_of(site)
    report = prepare(job)
    assert (report.clips, report.finished) == (6, True)
    assert not (job.out / "originals").exists()
    log = (site / "log").read_text().splitlines()
    assert sorted(line.split()[0] for line in log) == sorted(VIDEO_IDS)
    # Twice the box's height: the head's square is larger than the face's box.
    assert f"{VIDEO_IDS[0]} 1.00" in log
    clip = Dataset.open(job.out).clips(selected=False)[0]
    assert (clip.author, clip.licence, clip.extra) == ("An author", "CC BY", {"title": "A title"})
    assert "An author,A title,CC BY,," in (job.out / "attribution.csv").read_text()


def test_originals_are_kept_on_request(site: Path) -> None:
    job = job_of(site, keep_originals=True)
    prepare(job)
    assert sorted(path.stem for path in (job.out / "originals").glob("*.mp4")) == sorted(VIDEO_IDS)


def test_final_failures_are_recorded_and_passing_ones_tried_again(site: Path) -> None:
    (site / VIDEO_IDS[0]).write_text("private: members only")
    (site / VIDEO_IDS[2]).write_text("rate-limit: too many")
    (site / VIDEO_IDS[3]).write_text("once network: connection reset")
    progress = Notices()
    job = job_of(site)
    prepare(job, progress)
    assert (progress.units["read metadata"], progress.units["prepare"]) == ("utterances", "frames")
    assert rejected_of(job) == {VIDEO_IDS[0]: ("fetch", "private"), VIDEO_IDS[2]: ("fetch", "rate-limit")}
    assert any("could not be fetched (rate-limit); tried again at the end" in note for note in progress.notices)


def test_retry_failed_takes_up_only_what_may_pass(site: Path) -> None:
    (site / VIDEO_IDS[0]).write_text("private: members only")
    (site / VIDEO_IDS[2]).write_text("rate-limit: too many")
    job = job_of(site)
    prepare(job)
    before = contents(job.out)
    for video in (VIDEO_IDS[0], VIDEO_IDS[2]):
        (site / video).write_text("ok 1")
    prepare(replace(job, run=replace(job.run, retry_failed=True)))
    assert rejected_of(job) == {VIDEO_IDS[0]: ("fetch", "private")}
    after = contents(job.out)
    changed = {name for name in after if after[name] != before.get(name) and name.endswith(".h5")}
    assert len(changed) == 1
    assert (job.out / "manifest.json").exists()


@pytest.mark.parametrize("limit", [2, 10])
def test_network_that_is_down_stops_the_run(site: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(pool_module, "MOST_NETWORK_FAILURES", limit)
    for video in VIDEO_IDS:
        (site / video).write_text("network: no route to host")
    job = job_of(site)
    with pytest.raises(DependencyError, match=r"[23] shards in a row could not be fetched, the network seems"):
        prepare(job)
    assert not (job.out / "manifest.json").exists()
    for video in VIDEO_IDS:
        (site / video).write_text("ok 1")
    assert prepare(job).clips == 6


def test_interrupted_run_fetches_nothing_twice(site: Path) -> None:
    class Stopped(Notices):
        def advance(self, count: int = 1) -> None:
            if self.stages[-1][0] == "prepare":
                raise KeyboardInterrupt

    job = job_of(site)
    with pytest.raises(Exception, match="interrupted"):
        prepare(job, Stopped())
    prepare(job)
    log = [line.split()[0] for line in (site / "log").read_text().splitlines()]
    assert sorted(log) == sorted(VIDEO_IDS)


def test_quota_with_less_room_than_one_shard_still_goes_on(site: Path) -> None:
    job = job_of(site, disk_quota=5, workers=2)
    assert prepare(job).clips == 6


def watcher_of(job: PrepareJob, plan: Plan, ledger: Ledger) -> RunWatcher:
    return RunWatcher(plan, plan.shards, JobMaker.of(job), ledger, Notices(), job.run)


def test_room_is_counted_over_files_and_promises(site: Path) -> None:
    job = replace(job_of(site), run=RunOptions(disk_quota=100))
    plan = make_plan(job, {})
    (job.out / "originals").mkdir(parents=True)
    (job.out / "originals" / "a.mp4").write_bytes(bytes(60))
    with Ledger(job.out / "ledger.sqlite") as ledger:
        watcher = watcher_of(job, plan, ledger)
        assert watcher.may_reserve(30, 10, oldest=False)
        assert not watcher.may_reserve(31, 10, oldest=False)
        assert watcher.may_reserve(3100, 10, oldest=True)


def test_video_that_two_shards_need_is_deleted_after_the_second(site: Path) -> None:
    table = site.parent / "meta.csv"
    table.write_text("VoxCeleb2 ID ,Set \nid00001 ,dev \nid00002 ,test \nid00003 ,dev \n")
    job = voxceleb_job(site.parent, site.parent / "out", download=True, meta_csv=table)
    assert prepare(job).clips == 6
    log = [line.split()[0] for line in (site / "log").read_text().splitlines()]
    assert sorted(log) == sorted(VIDEO_IDS)
