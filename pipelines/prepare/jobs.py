"""From a planned item to the job that a processor takes: originals checked or fetched, metadata read again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avatarkit.data.clip import Rejected, Split, Stage
from avatarkit.data.ffhq_json import Place, read_record
from avatarkit.data.plan import PlanKind, PlannedItem, PlannedTrack, sample_id
from avatarkit.data.voxceleb import Utterance, UtteranceFile
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.config import ORIGINALS, WORK, PrepareJob, Sources
from avatarkit.pipelines.prepare.files import original_path, what_changed
from avatarkit.pipelines.prepare.planning.voxceleb import HEAD_PER_BOX, add_digest, read_checked
from avatarkit.prepare.fetch.config import FetchConfig, video_url
from avatarkit.prepare.job import PhotoJob, Track, VideoJob

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.limiter import Limiter

UNKNOWN = "unknown"


class Refused(Exception):
    """An item that cannot become a job: stage, short reason, one line, and whether a later try may succeed."""

    def __init__(self, stage: Stage, reason: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(stage, reason, detail)
        self.stage: Stage = stage
        self.reason, self.detail, self.retryable = reason, detail, retryable


@dataclass(frozen=True)
class JobMaker:
    """Makes jobs of a plan's items; pickles, so that every worker process has one.

    kind: of the plan. dataset: its folder. sources, fetch: as the command says.
    """

    kind: PlanKind
    dataset: Path
    sources: Sources
    fetch: FetchConfig

    @staticmethod
    def of(job: PrepareJob) -> JobMaker:
        """The maker for a command."""
        least = math.ceil(job.config.least_head_px)
        return JobMaker(job.kind, job.out, job.sources, replace(job.fetch, min_head_px=least))

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

        # The head as a share of the picture's height: the box's, since the width's share needs the aspect.
        tops = [float(utterance.boxes[:, 3].max()) * HEAD_PER_BOX for utterance in self._utterances(item).values()]
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
        path = self._original(item)
        if self.kind == "ffhq":
            return self._photo(item, split, path)
        if self.kind == "videos":
            track = item.tracks[0]
            tracks: tuple[Track, ...] = (Track(item.key, track.identity, track.utterance, split),)
            name = item.original.path or path.name if item.original else path.name
            return VideoJob(item.key, path, name, UNKNOWN, UNKNOWN, tracks)
        utterances = self._utterances(item)
        tracks = tuple(
            Track(
                sample_id(self.kind, track.identity, item.key, track.utterance),
                track.identity,
                track.utterance,
                split,
                utterances[track].frames,
                np.ascontiguousarray(utterances[track].boxes),
            )
            for track in item.tracks
        )
        return self._voxceleb(item, path, tracks)

    def fetched(self, key: str) -> Path | None:
        """A downloaded video that is complete and still here."""
        from avatarkit.prepare.fetch.run import fetched

        return fetched(key, self.originals)

    def refusals(self, item: PlannedItem, split: Split, refused: Refused) -> list[Rejected]:
        """A record for each of an item's samples."""
        return [
            Rejected(
                sample_id(self.kind, track.identity, item.key, track.utterance),
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
            path = original_path(item.original, self.sources.roots)
        except InputError as error:
            raise Refused("plan", "original-outside", str(error)) from error
        changed = what_changed(item.original, path)
        if changed:
            raise Refused("plan", *changed)
        return path

    def _voxceleb(self, item: PlannedItem, path: Path, tracks: tuple[Track, ...]) -> VideoJob:
        licence, author, extra = UNKNOWN, UNKNOWN, {}
        if item.original is None:
            from avatarkit.prepare.fetch.run import read_note

            note = read_note(item.key, self.originals)
            if note is not None:
                licence, author = note.licence or UNKNOWN, note.author or UNKNOWN
                extra = {"title": note.title} if note.title else {}
        return VideoJob(item.key, path, video_url(item.key), licence, author, tracks, extra)

    def _utterances(self, item: PlannedItem) -> dict[PlannedTrack, Utterance]:
        metadata = self.sources.metadata
        assert metadata is not None
        digest, result = hashlib.sha256(), {}
        for track in item.tracks:
            place = f"{track.identity}/{item.key}/{track.utterance}.txt"
            path = f"{track.folder}/{place}" if track.folder else place
            try:
                file = UtteranceFile(track.identity, item.key, track.utterance, path)
                result[track], _, text = read_checked(metadata, file)
            except InputError as error:
                raise Refused("plan", "metadata-changed", str(error)) from error
            add_digest(digest, path, text)
        if digest.hexdigest()[:32] != item.digest:
            detail = f"the metadata of {item.key} has changed since the plan was made; plan again in another --output"
            raise Refused("plan", "metadata-changed", detail)
        return result

    def _photo(self, item: PlannedItem, split: Split, path: Path) -> PhotoJob:
        notes = dict(item.notes)
        age = float(notes["age"]) if "age" in notes else None
        count = int(notes["faces"]) if "faces" in notes else None
        name = item.original.path if item.original else path.name
        identity = item.tracks[0].identity
        if item.record is None or self.sources.json is None:
            return PhotoJob(item.key, path, identity, split, name, UNKNOWN, UNKNOWN, age=age, face_count=count)
        try:
            record = read_record(self.sources.json, item.key, Place(*item.record, item.digest))
        except InputError as error:
            raise Refused("plan", "metadata-changed", str(error)) from error
        file = record.aligned if item.form == "aligned" else record.wild
        return PhotoJob(
            item.key,
            path,
            identity,
            split,
            record.photo_url or name,
            record.licence or UNKNOWN,
            record.author or UNKNOWN,
            landmarks68=file.landmarks68,
            extra=record.attribution,
            age=age,
            face_count=count,
        )
