"""From a planned item to the job that a processor takes: originals checked or fetched."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from avatarkit.data.clip import Rejected, Split
from avatarkit.data.plan import PlannedItem, sample_id
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.config import ORIGINALS, WORK, DataSource, PrepareJob, Refused
from avatarkit.pipelines.prepare.files import original_path, what_changed
from avatarkit.prepare.fetch.config import FetchConfig
from avatarkit.prepare.job import PhotoJob, VideoJob

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.limiter import Limiter


@dataclass(frozen=True)
class JobMaker:
    """Makes jobs of a plan's items; pickles, so that every worker process has one.

    source: of the plan. dataset: its folder. fetch: as the command says.
    """

    source: DataSource
    dataset: Path
    fetch: FetchConfig

    @staticmethod
    def of(job: PrepareJob) -> JobMaker:
        """The maker for a command."""
        least = math.ceil(job.config.least_head_px)
        return JobMaker(job.source, job.out, replace(job.fetch, min_head_px=least))

    @property
    def originals(self) -> Path:
        """Where downloaded videos are kept."""
        return self.dataset / ORIGINALS

    def limiter(self) -> Limiter:
        """The request budget that all workers share."""
        from avatarkit.prepare.fetch.limiter import Limiter

        path = self.dataset / WORK / "limiter.json"
        return Limiter(path, self.fetch.rate_per_hour, hold_s=self.fetch.hold_s)

    def download(
        self, item: PlannedItem, limiter: Limiter, reserve: Callable[[int], None], alive: Callable[[], bool]
    ) -> Path:
        """Fetch an item's video.

        Raises:
            Refused: it could not be had, with its class as the reason, or its metadata has changed.
            OutputError: the disk is full.
        """
        from avatarkit.prepare.fetch.run import FetchError, fetch

        tops = self.source.head_fractions(item)
        try:
            return fetch(
                item.key, self.originals, self.fetch, limiter, head_fractions=tops, reserve=reserve, stop=alive
            )
        except FetchError as error:
            reason = error.failure_class
            raise Refused("fetch", reason, error.detail, retryable=error.retryable) from error

    def job(self, item: PlannedItem, split: Split) -> VideoJob | PhotoJob:
        """The job of an item whose original is here.

        Raises:
            Refused: the original or the metadata is gone or has changed since the plan was made.
        """
        path, note = self._original(item), None
        if item.original is None:
            from avatarkit.prepare.fetch.run import read_note

            note = read_note(item.key, self.originals)
        return self.source.job(item, split, path, note)

    def fetched(self, key: str) -> Path | None:
        """A downloaded video that is complete and still here."""
        from avatarkit.prepare.fetch.run import fetched

        return fetched(key, self.originals)

    def refusals(self, item: PlannedItem, split: Split, refused: Refused) -> list[Rejected]:
        """A record for each of an item's samples."""
        return [
            Rejected(
                sample_id(track.identity, item.key, track.utterance),
                item.key,
                track.identity,
                split,
                refused.stage,
                refused.reason,
                refused.detail,
            )
            for track in item.tracks
        ]

    def _original(self, item: PlannedItem) -> Path:
        if item.original is None:
            path = self.fetched(item.key)
            if path is None:
                raise Refused("fetch", "original-missing", "the downloaded file is gone", retryable=True)
            return path
        try:
            path = original_path(item.original, self.source.roots)
        except InputError as error:
            raise Refused("plan", "original-outside", str(error)) from error
        changed = what_changed(item.original, path)
        if changed:
            raise Refused("plan", *changed)
        return path
