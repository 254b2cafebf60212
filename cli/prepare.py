"""`avatarkit prepare-data`: from originals to training shards."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from avatarkit.cli import prepare_options as options
from avatarkit.cli.console import Console
from avatarkit.cli.parsing import byte_size

if TYPE_CHECKING:
    from avatarkit.pipelines.prepare.config import PrepareJob


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
    from avatarkit.data.select import SelectionRule
    from avatarkit.data.split import SplitConfig
    from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
    from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2
    from avatarkit.prepare.config import PrepareConfig
    from avatarkit.prepare.fetch.config import FetchConfig

    job = PrepareJob(
        VoxCeleb2(metadata, meta_csv, originals, download),
        out,
        config=PrepareConfig(
            size=size, min_head_px=min_head_px, min_effective_px=min_effective_px, max_frames=max_frames,
            image_format=image_format, image_quality=image_quality, iqa=iqa, matting=matting, tracker=tracker,
        ),
        split=SplitConfig(seed, val_share, test_share),
        rule=SelectionRule(keep_top=keep_top),
        fetch=FetchConfig(rate_per_hour=rate_per_hour, cookies=cookies, proxy=proxy, max_height=max_height),
        run=RunOptions(
            workers=workers or _processors(), runner=runner, keep_originals=keep_originals, retry_failed=retry_failed,
            disk_quota=None if disk_quota is None else byte_size(disk_quota, "--disk-quota"),
            video_timeout_s=video_timeout,
        ),
        limit=limit,
        shard_mb=shard_mb,
    )  # fmt: skip
    _run(job, dry_run, report_json, quiet)


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
    from avatarkit.data.select import SelectionRule
    from avatarkit.data.split import SplitConfig
    from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
    from avatarkit.pipelines.prepare.sources.ffhq import FFHQ
    from avatarkit.prepare.config import PrepareConfig

    job = PrepareJob(
        FFHQ(images, metadata, features),
        out,
        config=PrepareConfig(
            size=size, min_head_px=min_head_px, min_effective_px=min_effective_px, max_faces=max_faces,
            min_age=min_age, image_format=image_format, image_quality=image_quality, iqa=iqa, matting=matting,
            tracker=tracker,
        ),
        split=SplitConfig(seed, val_share, test_share),
        rule=SelectionRule(keep_top=keep_top),
        run=RunOptions(workers=workers or _processors(), runner=runner, video_timeout_s=video_timeout),
        limit=limit,
        shard_mb=shard_mb,
    )  # fmt: skip
    _run(job, dry_run, report_json, quiet)


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
    from avatarkit.data.select import SelectionRule
    from avatarkit.data.split import SplitConfig
    from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
    from avatarkit.pipelines.prepare.sources.videos import Videos
    from avatarkit.prepare.config import PrepareConfig

    job = PrepareJob(
        Videos(tuple(paths), identity_from),
        out,
        config=PrepareConfig(
            size=size, min_head_px=min_head_px, min_effective_px=min_effective_px, max_frames=max_frames,
            image_format=image_format, image_quality=image_quality, iqa=iqa, matting=matting, tracker=tracker,
        ),
        split=SplitConfig(seed, val_share, test_share),
        rule=SelectionRule(keep_top=keep_top),
        run=RunOptions(workers=workers or _processors(), runner=runner, video_timeout_s=video_timeout),
        limit=limit,
        shard_mb=shard_mb,
    )  # fmt: skip
    _run(job, dry_run, report_json, quiet)


def _run(job: PrepareJob, dry_run: bool, report_json: bool, quiet: bool) -> None:
    from avatarkit.pipelines.prepare import run

    with Console(quiet=quiet) as console:
        if dry_run:
            planned = run.dry_run(job, console)
            if report_json:
                console.json(planned.to_json())
                return
            console.table(planned.table())
            console.summary(planned.summary_lines())
            return
        report = run.prepare(job, console, command=shlex.join(["avatarkit", *sys.argv[1:]]))
        if report_json:
            console.json(report.to_json())
        else:
            console.summary(report.summary_lines())


def _processors() -> int:
    from avatarkit.runtime import cpu_threads

    return cpu_threads()
