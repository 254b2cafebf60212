"""Whole runs with a fake processor: what misbehaves costs itself alone, and the same command goes on."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import filelock
import pytest
from prepare_kit import Notices, contents, job_of, write_videos

from avatarkit.data.dataset import Dataset
from avatarkit.data.hold import LOCK, hold
from avatarkit.data.ledger import read_table
from avatarkit.data.marks import Removed, write_removed
from avatarkit.data.plan_file import read_plan
from avatarkit.data.select import SelectionRule
from avatarkit.errors import DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.prepare import run as run_module
from avatarkit.pipelines.prepare import shard_work
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.run import Interrupted, dry_run, prepare
from avatarkit.pipelines.prepare.sources.ffhq import FFHQ


def rejected_of(out: Path) -> dict[str, str]:
    rows = read_table(out / "ledger.sqlite", "samples")
    return {str(row["sample"]): str(row["reason"]) for row in rows if row["state"] == "rejected"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notices]:
    """A run over everything that can go wrong with a video."""
    root = tmp_path_factory.mktemp("mixed")
    words = ["ok 2", "reject", "error", "partial", "crash", "segv", "hang", "silent", "extra", "broken", "ok 1", "ok 1"]
    words += [f"flaky {root / 'died-once'}", "double"]
    progress = Notices()
    job = job_of(write_videos(root / "in", words), root / "out", run={"workers": 2, "video_timeout_s": 6.0})
    report = prepare(job, progress)
    assert report.finished
    assert report.clips == 8
    return root / "out", progress


def test_each_misbehaviour_costs_its_own_video(mixed: tuple[Path, Notices]) -> None:
    out, progress = mixed
    assert progress.units == {
        "look at videos": "videos", "look for duplicates": "files", "prepare": "frames", "finish": "frames"
    }  # fmt: skip
    assert rejected_of(out) == {
        "v001": "no-face", "v002": "failed", "v003-rest": "failed", "v004": "crashed", "v005": "crashed",
        "v006": "timeout", "v007": "failed", "v008-rest": "failed", "v009-00": "invalid-clip",
        "v013-rest": "failed",
    }  # fmt: skip
    clips = sorted(clip.clip_id for clip in Dataset.open(out).clips())
    assert clips == ["v000-00", "v000-01", "v003-00", "v008-00", "v010-00", "v011-00", "v012-00", "v013-00"]


def test_every_planned_video_has_an_end_and_its_attempts(mixed: tuple[Path, Notices]) -> None:
    out, _ = mixed
    samples = read_table(out / "ledger.sqlite", "samples")
    assert {row["state"] for row in samples} == {"accepted", "rejected", "done"}
    attempts = {row["video"]: (row["attempts"], row["crashes"]) for row in read_table(out / "ledger.sqlite", "videos")}
    assert attempts["v004"] == attempts["v005"] == attempts["v006"] == (2, 2)
    assert attempts["v012"] == (2, 1)
    assert {row["outcome"] for row in read_table(out / "ledger.sqlite", "runs")} == {"finished"}


def test_crashes_are_told(mixed: tuple[Path, Notices]) -> None:
    _, progress = mixed
    assert "v005: the worker ended by SIGSEGV; it is refused as crashed" in progress.notices
    assert any(note.startswith("v006: the worker gave no sign of life") for note in progress.notices)


def test_details_hold_no_path_of_this_machine(mixed: tuple[Path, Notices]) -> None:
    out, _ = mixed
    for name, content in contents(out).items():
        assert str(out.parent).encode() not in content, name


def test_finished_folder_holds_nothing_unfinished(mixed: tuple[Path, Notices]) -> None:
    out, _ = mixed
    names = {path.name for path in out.iterdir()} - {LOCK}
    assert names == {"plan.json", "ledger.sqlite", "manifest.json", "selection.json", "shards"}


def test_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", ["ok 2", "ok 1", "crash", "reject"] + ["ok 1"] * 12)
    prepare(job_of(folder, tmp_path / "one", run={"workers": 1}))
    prepare(job_of(folder, tmp_path / "two", run={"workers": 2}))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(read_plan(tmp_path / "one").shards) >= 8


def test_second_command_has_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 3), tmp_path / "out")
    prepare(job)
    before = contents(job.out)
    monkeypatch.setattr(run_module, "Pool", None)
    assert prepare(job).finished
    assert contents(job.out) == before
    progress = Notices()
    prepare(dataclasses.replace(job, rule=SelectionRule(keep_top=0.5)), progress)
    assert any("avatarkit data reselect" in note for note in progress.notices)


def test_missing_shard_is_made_again(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 3), tmp_path / "out")
    prepare(job)
    before = contents(job.out)
    next((job.out / "shards").glob("*.h5")).unlink()
    prepare(job)
    assert contents(job.out) == before


def test_other_options_are_refused_by_name(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 2), tmp_path / "out")
    prepare(job)
    with pytest.raises(OutputError, match=r"planned with seed 0 \(now 1\); use the same options, or choose another"):
        prepare(dataclasses.replace(job, split=dataclasses.replace(job.split, seed=1)))
    with pytest.raises(OutputError, match="holds a dataset of videos, not of ffhq"):
        prepare(PrepareJob(FFHQ(tmp_path), job.out))


def test_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="holds other things than a dataset"):
        prepare(job_of(write_videos(tmp_path / "in", ["ok 1"]), tmp_path / "out"))


def test_run_that_was_killed_while_it_wrote_its_plan_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"]), tmp_path / "out")

    class Killed(BaseException):
        pass

    def killed(handle: int) -> None:
        raise Killed

    # What a signal that nobody can catch leaves: the file as it is written, under its passing name.
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", killed)
        patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(Killed):
            prepare(job)
    left = [path.name for path in job.out.iterdir() if path.name.startswith(".plan-partial-")]
    assert len(left) == 1
    prepare(job)
    assert (job.out / "manifest.json").exists()
    assert not (job.out / left[0]).exists()


def test_second_run_on_one_output_is_refused(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"]), tmp_path / "out")
    job.out.mkdir()
    with hold(job.out), pytest.raises(OutputError, match="another run is writing there"):
        prepare(job)
    prepare(job)


def test_shard_in_other_hands_is_left_to_them(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 3), tmp_path / "out")
    (job.out / ".work" / "locks").mkdir(parents=True)
    with filelock.FileLock(job.out / ".work" / "locks" / "train-00000.lock"):
        progress = Notices()
        report = prepare(job, progress)
    assert not report.finished
    assert report.waiting == 1
    assert any("in the hands of another process" in note for note in progress.notices)
    assert prepare(job).finished


def test_full_disk_stops_cleanly_and_resumes(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", ["ok 1"] * 4)
    (folder / "v002.mp4").write_text("full   ")
    job = job_of(folder, tmp_path / "out")
    with pytest.raises(OutputError, match="no room; free some space"):
        prepare(job)
    assert not (job.out / "manifest.json").exists()
    assert list((job.out / "shards").glob("*.json"))


def test_full_disk_while_writing_is_told_as_such(tmp_path: Path) -> None:
    error = shard_work._output_error(OSError(errno.ENOSPC, "No space left on device", "x.h5"), tmp_path)
    assert str(error) == (
        "x.h5: cannot be written: the disk is full; free some space and run the same command again"
    )
    from_hdf5 = OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')")
    assert "the disk is full" in str(shard_work._output_error(from_hdf5, tmp_path))


def test_nothing_accepted_is_an_error_after_the_end(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["reject", "reject", "error"]), tmp_path / "out")
    for _ in range(2):
        with pytest.raises(InputError, match="finished, but nothing was accepted: 2 no-face, 1 failed"):
            prepare(job)
    assert (job.out / "manifest.json").exists()


def test_other_tools_than_the_datasets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_videos(tmp_path / "in", ["ok 1", "full", "ok 1"])
    job = job_of(folder, tmp_path / "out")
    with pytest.raises(OutputError, match="no room"):
        prepare(job)
    monkeypatch.setenv("FAKE_TRACKER", "better")
    with pytest.raises(DependencyError, match="tracker is better here, but the output was begun with fake"):
        prepare(job)


def test_worker_that_cannot_open_its_tools_stops_the_run(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"]), tmp_path / "out", run={"processor": "fake_processor:none"})
    with pytest.raises(UsageError, match="fake_processor:none"):
        prepare(job)
    assert not job.out.exists()


def test_original_that_changed_is_refused_not_used(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", ["ok 1", "full", "ok 1", "ok 1"])
    job = job_of(folder, tmp_path / "out")
    with pytest.raises(OutputError):
        prepare(job)
    for path in (job.out / "shards").glob("*"):
        path.unlink()
    (folder / "v001.mp4").write_text("ok 1")
    (folder / "v002.mp4").unlink()
    assert prepare(job).finished
    assert rejected_of(job.out) == {"v001": "original-changed", "v002": "original-missing"}


def test_removed_people_do_not_come_back(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 4), tmp_path / "out")
    prepare(job)
    write_removed(job.out, Removed(people=frozenset({"v001"})))
    for name in ("manifest.json", *(path.relative_to(job.out) for path in (job.out / "shards").glob("*.json"))):
        (job.out / name).unlink()
    prepare(job)
    assert sorted(clip.identity for clip in Dataset.open(job.out).clips()) == ["v000", "v002", "v003"]
    assert all(b"v001" not in content for name, content in contents(job.out).items() if name.endswith(".h5"))


def test_interruption_is_told_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 4), tmp_path / "out")

    class Stopped(Notices):
        def advance(self, count: int = 1) -> None:
            if self.stages[-1][0] == "prepare":
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="of 4 shards are sealed; the same command goes on") as caught:
        prepare(job, Stopped())
    assert caught.value.exit_code == 130
    assert [row["outcome"] for row in read_table(job.out / "ledger.sqlite", "runs")] == ["interrupted"]
    assert prepare(job).finished


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 20), tmp_path / "out", run={"workers": 2})
    planned = dry_run(job)
    assert not job.out.exists()
    assert planned.table()[0] == ("split", "people", "videos", "samples", "frames", "shards", "GB")
    assert [row[2] for row in planned.table()[1:]][-1] == "20"
    prepare(job)
    assert dry_run(job).sealed == len(read_plan(job.out).shards)
    assert json.dumps(planned.to_json())


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"disk_quota": 0}, {"video_timeout_s": 0.0}, {"runner": "ray", "disk_quota": 5}]
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RunOptions(**options)  # type: ignore[arg-type]
