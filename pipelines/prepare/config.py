"""What a run of prepare-data is asked to do: what decides the result, and what only decides how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avatarkit.data.plan import PlanKind
from avatarkit.data.select import SelectionRule
from avatarkit.data.split import SplitConfig
from avatarkit.errors import UsageError
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.fetch.config import FetchConfig
from avatarkit.work.task import Runner

IdentityFrom = Literal["file", "folder"]
PROCESSOR = "avatarkit.pipelines.prepare.processor:open_processor"
WORK, ORIGINALS = ".work", "originals"
"""Folders inside a dataset while it is made: locks and unfinished files; downloaded videos."""


@dataclass(frozen=True)
class Sources:
    """Where the material is; folders may move between runs.

    metadata, meta_csv: VoxCeleb2's tree of utterances, and its table of people. originals: a folder of its videos.
    download: fetch them instead. images, json, features: FFHQ's photos, its json, attributes per photo.
    paths: anyone's videos, or folders of them.
    """

    metadata: Path | None = None
    meta_csv: Path | None = None
    originals: Path | None = None
    download: bool = False
    images: Path | None = None
    json: Path | None = None
    features: Path | None = None
    paths: tuple[Path, ...] = ()

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders (or single files) in which originals lie, in the order in which a plan numbers them."""
        return tuple(path for path in (self.originals, self.images) if path is not None) + self.paths


@dataclass(frozen=True)
class RunOptions:
    """How a run goes about it; nothing here changes a byte of the result.

    workers: processes. runner: local, slurm or ray. disk_quota: bytes of downloaded originals at a time, None: no
    limit. keep_originals: do not delete them. retry_failed: try once more what a network or a site refused.
    video_timeout_s: seconds without any sign of life after which a video is given up, plus one per megabyte of it.
    processor: module:function that opens what turns videos into clips.
    """

    workers: int = 1
    runner: Runner = "local"
    disk_quota: int | None = None
    keep_originals: bool = False
    retry_failed: bool = False
    video_timeout_s: float = 600.0
    processor: str = PROCESSOR

    def __post_init__(self) -> None:
        """Refuse numbers that make no run with a UsageError."""
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: use a number from 1 up")
        if self.disk_quota is not None and self.disk_quota < 1:
            raise UsageError(f"--disk-quota {self.disk_quota}: use a size such as 200GB")
        if not self.video_timeout_s > 0:
            raise UsageError(f"--video-timeout {self.video_timeout_s}: use seconds above 0")
        if self.runner == "ray" and self.disk_quota is not None:
            raise UsageError("--disk-quota: works with --runner local and slurm; a Ray cluster has no common counter")


@dataclass(frozen=True)
class PrepareJob:
    """One command.

    kind: what is prepared. out: the dataset's folder. limit: videos or photos at most, drawn by the seed. shard_mb:
    megabytes aimed at per shard. rule: the selection. identity_from: of `videos`, whether each file is a person of
    its own or each sub-folder is.
    """

    kind: PlanKind
    out: Path
    sources: Sources
    config: PrepareConfig = field(default_factory=PrepareConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    rule: SelectionRule = field(default_factory=SelectionRule)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    run: RunOptions = field(default_factory=RunOptions)
    limit: int | None = None
    shard_mb: int = 256
    identity_from: IdentityFrom = "file"

    def __post_init__(self) -> None:
        """Refuse what cannot be with a UsageError."""
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: use a number from 1 up")
        if not 1 <= self.shard_mb <= 16384:
            raise UsageError(f"--shard-mb {self.shard_mb}: use a number from 1 to 16384")
        sources = self.sources
        if self.kind == "voxceleb2" and (sources.originals is None) != sources.download:
            raise UsageError("give --originals DIR or --download, one of the two")

    def plan_config(self) -> dict[str, Any]:
        """All that decides the result; a plan keeps it, and a second run must have the same."""
        config = self.config
        values: dict[str, Any] = {
            "size": config.size,
            "min_head_px": config.least_head_px,
            "min_effective_px": config.least_effective_px,
            "min_frames": config.min_frames,
            "max_frames": config.max_frames,
            "image_format": config.image_format,
            "image_quality": config.image_quality,
            "matting": config.matting,
            "iqa": config.iqa,
            "tracker": config.tracker,
            "seed": self.split.seed,
            "val_share": self.split.val_share,
            "test_share": self.split.test_share,
            "limit": self.limit,
            "shard_mb": self.shard_mb,
        }
        if self.kind == "voxceleb2":
            values |= {"download": self.sources.download, "meta_csv": self.sources.meta_csv is not None}
            if self.sources.download:
                values |= {"max_height": self.fetch.max_height, "min_height": self.fetch.min_height}
        elif self.kind == "ffhq":
            values |= {"max_faces": config.max_faces, "min_age": config.min_age}
            values |= {"json": self.sources.json is not None, "features": self.sources.features is not None}
        else:
            values |= {"identity_from": self.identity_from}
        return values
