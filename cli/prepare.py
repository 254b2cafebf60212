"""`avatarkit prepare-data`: from originals to training shards."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from avatarkit.cli import prepare_options as options
from avatarkit.cli.console import Console
from avatarkit.cli.parsing import byte_size

if TYPE_CHECKING:
    from avatarkit.pipelines.prepare.config import DataSource, PrepareJob


def voxceleb2(
    metadata: options.Metadata,
    out: options.Out,
    originals: options.Originals = None,
    download: options.Download = False,
    meta_csv: options.MetaCsv = None,
    size: options.Size = 512,
    min_head_px: options.MinHead = 512,
    min_effective_px: options.MinEffective = None,
    max_frames: options.MaxFrames = 250,
    keep_top: options.KeepTop = 0.5,
    image_format: options.ImageFormat = "jpeg",
    image_quality: options.ImageQuality = 95,
    iqa: options.Iqa = "auto",
    matting: options.Matting = "auto",
    tracker: options.Tracker = "auto",
    seed: options.Seed = 0,
    val_share: options.ValShare = 0.05,
    test_share: options.TestShare = 0.05,
    limit: options.Limit = None,
    shard_mb: options.ShardMb = 256,
    workers: options.Workers = None,
    runner: options.Runner = "local",
    dry_run: options.DryRun = False,
    video_timeout: options.VideoTimeout = 600,
    keep_originals: options.KeepOriginals = False,
    disk_quota: options.DiskQuota = None,
    rate_per_hour: options.RatePerHour = 300,
    cookies: options.Cookies = None,
    proxy: options.Proxy = None,
    max_height: options.MaxHeight = 2160,
    retry_failed: options.RetryFailed = False,
    report_json: options.JsonReport = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a dataset of VoxCeleb2's utterances, from a folder of videos or from the net."""
    values = locals()
    from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2

    _run(VoxCeleb2(metadata, meta_csv, originals, download), values)


def ffhq(
    images: options.Images,
    out: options.Out,
    metadata: options.FfhqMetadata = None,
    features: options.Features = None,
    size: options.Size = 1024,
    min_head_px: options.MinHead = None,
    min_effective_px: options.MinEffective = None,
    max_faces: options.MaxFaces = 1,
    min_age: options.MinAge = 18,
    keep_top: options.KeepTop = 1.0,
    image_format: options.ImageFormat = "jpeg",
    image_quality: options.ImageQuality = 95,
    iqa: options.Iqa = "auto",
    matting: options.Matting = "auto",
    tracker: options.Tracker = "auto",
    seed: options.Seed = 0,
    val_share: options.ValShare = 0.05,
    test_share: options.TestShare = 0.05,
    limit: options.Limit = None,
    shard_mb: options.ShardMb = 256,
    workers: options.Workers = None,
    runner: options.Runner = "local",
    dry_run: options.DryRun = False,
    video_timeout: options.VideoTimeout = 600,
    report_json: options.JsonReport = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a dataset of FFHQ's photos, aligned by the published recipe; photos of others work too."""
    values = locals()
    from avatarkit.pipelines.prepare.sources.ffhq import FFHQ

    _run(FFHQ(images, metadata, features), values)


def videos(
    paths: options.Paths,
    out: options.Out,
    size: options.Size = 512,
    min_head_px: options.MinHead = None,
    min_effective_px: options.MinEffective = None,
    max_frames: options.MaxFrames = 250,
    identity_from: options.IdentityFrom = "file",
    keep_top: options.KeepTop = 1.0,
    image_format: options.ImageFormat = "jpeg",
    image_quality: options.ImageQuality = 95,
    iqa: options.Iqa = "auto",
    matting: options.Matting = "auto",
    tracker: options.Tracker = "auto",
    seed: options.Seed = 0,
    val_share: options.ValShare = 0.05,
    test_share: options.TestShare = 0.05,
    limit: options.Limit = None,
    shard_mb: options.ShardMb = 256,
    workers: options.Workers = None,
    runner: options.Runner = "local",
    dry_run: options.DryRun = False,
    video_timeout: options.VideoTimeout = 600,
    report_json: options.JsonReport = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a dataset of anyone's videos: faces are found and followed, and cut into clips."""
    values = locals()
    from avatarkit.pipelines.prepare.sources.videos import Videos

    _run(Videos(tuple(paths), identity_from), values)


def _run(source: DataSource, values: Mapping[str, Any]) -> None:
    from avatarkit.pipelines.prepare import run

    job = _job(source, values)
    with Console(quiet=values["quiet"]) as console:
        if values["dry_run"]:
            planned = run.dry_run(job, console)
            if values["report_json"]:
                console.json(planned.to_json())
                return
            console.table(planned.table())
            console.summary(planned.summary_lines())
            return
        report = run.prepare(job, console, command=shlex.join(["avatarkit", *sys.argv[1:]]))
        if values["report_json"]:
            console.json(report.to_json())
        else:
            console.summary(report.summary_lines())


def _job(source: DataSource, values: Mapping[str, Any]) -> PrepareJob:
    """The job that the parameters of a command ask for, by their names."""
    from avatarkit.data.select import SelectionRule
    from avatarkit.data.split import SplitConfig
    from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
    from avatarkit.prepare.config import PrepareConfig
    from avatarkit.prepare.fetch.config import FetchConfig
    from avatarkit.runtime import cpu_threads

    def given(*names: str) -> dict[str, Any]:
        return {name: values[name] for name in names if name in values}

    quota = values.get("disk_quota")
    return PrepareJob(
        source,
        values["out"],
        config=PrepareConfig(**given(*(field.name for field in fields(PrepareConfig)))),
        split=SplitConfig(values["seed"], values["val_share"], values["test_share"]),
        rule=SelectionRule(keep_top=values["keep_top"]),
        fetch=FetchConfig(**given("rate_per_hour", "cookies", "proxy", "max_height")),
        run=RunOptions(
            workers=values["workers"] or cpu_threads(),
            disk_quota=None if quota is None else byte_size(quota, "--disk-quota"),
            video_timeout_s=values["video_timeout"],
            **given("runner", "keep_originals", "retry_failed"),
        ),
        limit=values["limit"],
        shard_mb=values["shard_mb"],
    )
