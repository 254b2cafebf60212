"""What a run of prepare-data is asked to do: what decides the result, and what only decides how it is reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from avatarkit.data.clip import Split, Stage
from avatarkit.data.plan import PlanKind, PlannedItem
from avatarkit.data.select import SelectionRule
from avatarkit.data.split import SplitConfig
from avatarkit.errors import UsageError
from avatarkit.pipelines.prepare.sources.draft import Draft
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.fetch.config import FetchConfig
from avatarkit.prepare.job import PhotoJob, VideoJob
from avatarkit.runtime import Progress
from avatarkit.work.task import Runner

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.run import Note

PROCESSOR = "avatarkit.pipelines.prepare.processor:open_processor"
WORK, ORIGINALS = ".work", "originals"
"""Folders inside a dataset while it is made: locks and unfinished files; downloaded videos."""


class Refused(Exception):
    """An item that cannot become a job: stage, short reason, one line, and whether a later try may succeed."""

    def __init__(self, stage: Stage, reason: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(stage, reason, detail)
        self.stage: Stage = stage
        self.reason, self.detail, self.retryable = reason, detail, retryable


class DataSource(ABC):
    """Material of one kind: where it lies, how it is planned, and the job of each planned item.

    Implementations are frozen dataclasses that pickle, so that every worker process has one; folders may move between
    runs.

    kind: as the plan names it. holds: what the samples are. cuts: whether an item becomes any number of clips, each
    named by the item's key and a number, instead of one for each of its tracks. credited: whether authors and licences
    are known. download: whether originals are fetched.
    """

    kind: ClassVar[PlanKind]
    holds: ClassVar[Literal["photos", "videos"]] = "videos"
    cuts: ClassVar[bool] = False
    credited: ClassVar[bool] = True
    download: bool = False

    @property
    @abstractmethod
    def roots(self) -> tuple[Path, ...]:
        """Folders (or single files) in which originals lie, in the order in which a plan numbers them."""

    @abstractmethod
    def settings(self, job: PrepareJob) -> Mapping[str, Any]:
        """What of this source's options decides the result."""

    @abstractmethod
    def draft(self, job: PrepareJob, progress: Progress) -> Draft:
        """Read what there is, without decoding it.

        Raises:
            InputError: it cannot be read at all.
        """

    @abstractmethod
    def job(self, item: PlannedItem, split: Split, path: Path, note: Note | None) -> VideoJob | PhotoJob:
        """The job of an item whose original lies at a path; `note` is what was kept of a download.

        Raises:
            Refused: the metadata is gone or has changed since the plan was made.
        """

    def head_fractions(self, item: PlannedItem) -> list[float]:
        """Heads' sides as shares of the picture's height, so that a download is large enough. Raises as `job`."""
        raise NotImplementedError


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

    source: what is prepared. out: the dataset's folder. limit: videos or photos at most, drawn by the seed. shard_mb:
    megabytes aimed at per shard. rule: the selection.
    """

    source: DataSource
    out: Path
    config: PrepareConfig = field(default_factory=PrepareConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    rule: SelectionRule = field(default_factory=SelectionRule)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    run: RunOptions = field(default_factory=RunOptions)
    limit: int | None = None
    shard_mb: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be with a UsageError."""
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: use a number from 1 up")
        if not 1 <= self.shard_mb <= 16384:
            raise UsageError(f"--shard-mb {self.shard_mb}: use a number from 1 to 16384")

    def plan_config(self) -> dict[str, Any]:
        """All that decides the result; a plan keeps it, and a second run must have the same."""
        config = self.config
        return {
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
            **self.source.settings(self),
        }
