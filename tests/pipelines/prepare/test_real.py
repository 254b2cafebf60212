"""From a video and a photo to verified datasets with the real tools, nothing replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

from avatarkit.data.dataset import Dataset
from avatarkit.data.plan import read_plan
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import shard_path
from avatarkit.pipelines.data import verify
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions, Sources
from avatarkit.pipelines.prepare.report import PrepareReport
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.prepare.config import PrepareConfig
from avatarkit.runtime import NullProgress

CONFIG = PrepareConfig(
    size=128, min_head_px=40, min_effective_px=0, min_frames=10, iqa="sharpness", matting="mediapipe"
)


def made(job: PrepareJob) -> tuple[PrepareReport, Dataset]:
    report = prepare(job)
    assert isinstance(report, PrepareReport)
    assert report.finished
    assert verify(job.out, quick=False, progress=NullProgress()).problems == ()
    return report, Dataset.open(job.out)


def test_video_becomes_a_verified_dataset(driver: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copyfile(driver, tmp_path / "in" / "ann.mp4")
    (tmp_path / "in" / "cut.mp4").write_bytes(driver.read_bytes()[:3000])
    (tmp_path / "in" / "empty.mp4").touch()
    job = PrepareJob("videos", tmp_path / "out", Sources(paths=(tmp_path / "in",)), CONFIG, run=RunOptions(workers=2))
    report, dataset = made(job)
    [clip] = dataset.clips()
    assert (clip.identity, clip.source, clip.native_rate) == ("ann", "ann.mp4", "30000/1001")
    assert clip.frames >= 18
    assert sum(report.rejected.values()) == 2
    assert {stage for stage, _ in report.rejected} == {"track"}
    plan = read_plan(job.out)
    name = next(shard.name for shard in plan.shards if any(item.key == "ann" for item in shard.items))
    attributes = ShardReader(shard_path(job.out, name)).attributes
    assert (attributes["plan_hash"], attributes["kind"], attributes["size"]) == (plan.hash, "videos", "128")
    assert attributes["scorer"] == plan.tools["scorer"]
    assert str(tmp_path) not in (job.out / "shards" / f"{name}.json").read_text()


def test_photo_becomes_a_verified_dataset(grace_hopper_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copyfile(grace_hopper_path, tmp_path / "in" / "hopper.jpg")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    job = PrepareJob("ffhq", tmp_path / "out", Sources(images=tmp_path / "in"), CONFIG)
    report, dataset = made(job)
    [clip] = dataset.clips()
    assert (clip.clip_id, clip.frames, clip.age_checked) == ("hopper", 1, False)
    assert report.rejected == {("track", "not-a-photo"): 1}
    assert dataset.manifest.kind == "photos"
