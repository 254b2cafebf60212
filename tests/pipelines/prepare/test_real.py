"""From a video and a photo to verified datasets with the real tools, nothing replaced."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prepare_kit import Notices, contents

from avatarkit.data.dataset import Dataset
from avatarkit.data.plan_file import read_plan
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import shard_path
from avatarkit.errors import OutputError
from avatarkit.pipelines.data import verify
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.report import PrepareReport
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.sources.ffhq import FFHQ
from avatarkit.pipelines.prepare.sources.videos import Videos
from avatarkit.prepare.config import PrepareConfig

CONFIG = PrepareConfig(
    size=128, min_head_px=40, min_effective_px=0, min_frames=10, iqa="sharpness", matting="mediapipe"
)


def made(job: PrepareJob, progress: Notices | None = None) -> tuple[PrepareReport, Dataset]:
    progress = progress or Notices()
    report = prepare(job, progress)
    assert isinstance(report, PrepareReport)
    assert report.finished
    assert verify(job.out, quick=False, progress=progress).problems == ()
    return report, Dataset.open(job.out)


@pytest.fixture(scope="module")
def whole(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PrepareJob, PrepareReport, Dataset]:
    """An undisturbed run over two videos of a person and two files that are none."""
    root = tmp_path_factory.mktemp("whole")
    (root / "in").mkdir()
    shutil.copyfile(driver, root / "in" / "ann.mp4")
    # Not the same bytes: an empty box at the end.
    (root / "in" / "bea.mp4").write_bytes(driver.read_bytes() + b"\0\0\0\x08free")
    (root / "in" / "cut.mp4").write_bytes(driver.read_bytes()[:3000])
    (root / "in" / "empty.mp4").touch()
    job = PrepareJob(Videos((root / "in",)), root / "out", CONFIG, run=RunOptions(workers=2))
    return job, *made(job)


def test_video_becomes_a_verified_dataset(whole: tuple[PrepareJob, PrepareReport, Dataset]) -> None:
    job, report, dataset = whole
    clip, second = sorted(dataset.clips(), key=lambda clip: clip.identity)
    assert (clip.identity, clip.source, clip.native_rate) == ("ann", "ann.mp4", "30000/1001")
    assert clip.frames == second.frames >= 18
    assert sum(report.rejected.values()) == 2
    assert {stage for stage, _ in report.rejected} == {"track"}
    plan = read_plan(job.out)
    name = next(shard.name for shard in plan.shards if any(item.key == "ann" for item in shard.items))
    attributes = ShardReader(shard_path(job.out, name)).attributes
    assert (attributes["plan_hash"], attributes["kind"], attributes["size"]) == (plan.hash, "videos", "128")
    assert attributes["scorer"] == plan.tools["scorer"]
    assert str(job.out.parent) not in (job.out / "shards" / f"{name}.json").read_text()


def test_full_disk_leaves_nothing_half_written_and_the_same_command_completes(
    whole: tuple[PrepareJob, PrepareReport, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(whole[0].out)
    options = RunOptions(workers=1, processor="worker_kit:open_real")
    job = replace(whole[0], out=tmp_path / "out", run=options)
    # Room for all shards but for the last bytes of the last: where HDF5 closes its file.
    room = sum(len(content) for name, content in expected.items() if name.endswith(".h5")) - 3000
    monkeypatch.setenv("KIT_DISK_BYTES", str(room))
    with pytest.raises(OutputError) as caught:
        prepare(job)
    assert str(caught.value) == (
        f"{job.out}: cannot be written: the disk is full; free some space and run the same command again"
    )
    assert caught.value.exit_code == 4
    left = contents(job.out)
    assert not (job.out / "manifest.json").exists()
    assert {Path(name).suffix for name in left if name.startswith(".work")} <= {".lock"}
    sealed = {name for name in left if name.startswith("shards/")}
    assert 0 < len(sealed) < sum(name.startswith("shards/") for name in expected)
    assert {name: left[name] for name in sealed} == {name: expected[name] for name in sealed}
    monkeypatch.delenv("KIT_DISK_BYTES")
    assert prepare(job).finished
    assert contents(job.out) == expected


def test_photo_becomes_a_verified_dataset(grace_hopper_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copyfile(grace_hopper_path, tmp_path / "in" / "hopper.jpg")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    job = PrepareJob(FFHQ(tmp_path / "in"), tmp_path / "out", CONFIG)
    progress = Notices()
    report, dataset = made(job, progress)
    assert [progress.units[name] for name in ("read photo list", "prepare", "verify")] == ["photos"] * 3
    [clip] = dataset.clips()
    assert (clip.clip_id, clip.frames, clip.age_checked) == ("hopper", 1, False)
    assert report.rejected == {("track", "not-a-photo"): 1}
    assert dataset.manifest.kind == "photos"
