"""Makes one shard: the unit of work of every runner, and the only place that writes into `shards`.

A shard is written under another name, flushed, renamed, and then its counts are written, which seals it. Whatever is
killed on the way leaves nothing that counts; the next try begins the shard anew and gets the same bytes.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.data.ledger import VideoResult
from avatarkit.data.marks import read_removed
from avatarkit.data.plan import PlannedItem, PlannedShard
from avatarkit.data.shard import FOLDER, ShardStats, read_stats, seal_shard
from avatarkit.data.writer import ShardWriter
from avatarkit.errors import DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.prepare.config import WORK, Refused
from avatarkit.pipelines.prepare.jobs import JobMaker
from avatarkit.pipelines.prepare.processor import Processor
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import PhotoJob, VideoJob
from avatarkit.work.claims import claim
from avatarkit.work.task import Deferred, Link, Turn, find

FETCH_SILENCE_S = 7200.0
"""Without a sign of life from a fetch; it has time limits of its own, and waits for its budget for an hour at most."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Setup:
    """What all shards of a run have in common; it pickles.

    maker: of jobs. config, processor: what each worker opens. attributes: of every shard. timeout_s: see
    `RunOptions.video_timeout_s`.
    """

    maker: JobMaker
    config: PrepareConfig
    processor: str
    attributes: Mapping[str, str]
    timeout_s: float

    @property
    def dataset(self) -> Path:
        """The dataset's folder."""
        return self.maker.dataset


class ShardWorker:
    """Makes one shard after the other with one processor; a task's payload is a planned shard, its steps are videos."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._processor: Processor = find(setup.processor)(setup.config)
        self.names, self.advice = self._processor.names, self._processor.advice

    def work(self, turn: Turn, link: Link) -> tuple[VideoResult, ...]:
        """Make a shard; returns results of its videos."""
        kept = _Results(link)
        make_shard(turn, self._setup, self._processor, kept)
        return tuple(kept.results)

    def close(self) -> None:
        """Release what is open."""
        self._processor.close()


class _Results:
    """A link that also keeps the results of videos."""

    def __init__(self, link: Link) -> None:
        self.begin, self.alive, self.reserve, self._done = link.begin, link.alive, link.reserve, link.done
        self.results: list[VideoResult] = []

    def done(self, step: str, value: VideoResult) -> None:
        self.results.append(value)
        self._done(step, value)


def make_shard(turn: Turn, setup: Setup, processor: Processor, link: Link) -> ShardStats:
    """Fetch, process and seal one shard; one that is sealed is left as it is.

    Raises:
        Busy: another process has the shard.
        Deferred: videos could not be fetched for now.
        OutputError: it cannot be written; a full disk.
        DependencyError, UsageError: nothing can be processed here.
    """
    shard: PlannedShard = turn.task.payload
    try:
        (setup.dataset / FOLDER).mkdir(parents=True, exist_ok=True)
        with claim(setup.dataset / WORK / "locks", shard.name):
            return read_stats(setup.dataset, shard.name) or _make(shard, turn, setup, processor, link)
    except OSError as error:
        raise _output_error(error, setup.dataset) from error


def _make(shard: PlannedShard, turn: Turn, setup: Setup, processor: Processor, link: Link) -> ShardStats:
    work = _Work(shard, turn.poisoned, setup, processor, link)
    if setup.maker.source.download:
        failures = work.fetch_all()
        if failures and not turn.last_chance:
            raise Deferred(tuple(failures))
    return work.process_all()


class _Work:
    """One shard in the making."""

    def __init__(
        self, shard: PlannedShard, poisoned: Mapping[str, str], setup: Setup, processor: Processor, link: Link
    ) -> None:
        self._shard, self._poisoned, self._setup = shard, poisoned, setup
        self._processor, self._link, self._maker = processor, link, setup.maker
        self._removed = read_removed(setup.dataset)
        self._refused: dict[str, Refused] = {}
        self._fetch_s: dict[str, float] = {}
        self._rejected: list[Rejected] = []

    def fetch_all(self) -> list[tuple[str, str, str]]:
        """Fetch what is wanted; returns the failures that may pass."""
        failures = []
        limiter = self._maker.limiter()
        for item in self._shard.items:
            if item.key in self._poisoned or not self._wanted(item):
                continue
            start_s = time.perf_counter()
            try:
                if self._maker.fetched(item.key) is None:
                    self._link.begin(item.key, FETCH_SILENCE_S)
                    self._maker.download(item, limiter, self._link.reserve, self._link.alive)
            except Refused as refused:
                self._refused[item.key] = refused
                if refused.retryable:
                    failures.append((item.key, refused.reason, refused.detail))
            self._fetch_s[item.key] = time.perf_counter() - start_s
        return failures

    def process_all(self) -> ShardStats:
        """Process what is there, write and seal."""
        part = self._setup.dataset / WORK / f"{self._shard.name}.h5"
        part.unlink(missing_ok=True)
        with ShardWriter(part, self._setup.attributes) as writer:
            for item in self._shard.items:
                self._item(item, writer)
            clips = writer.clips
        self._link.alive()
        return seal_shard(self._setup.dataset, self._shard.name, part, clips, self._rejected)

    def _item(self, item: PlannedItem, writer: ShardWriter) -> None:
        start_s, before, size = time.perf_counter(), len(writer.clips), 0
        try:
            if item.key in self._refused:
                raise self._refused[item.key]
            if item.key in self._poisoned:
                raise _poisoned(self._poisoned[item.key])
            wanted = self._wanted(item)
            if wanted:
                job = self._maker.job(item, self._shard.split)
                if isinstance(job, VideoJob):
                    job = replace(job, tracks=tuple(track for track in job.tracks if track.clip_id in wanted))
                size = job.path.stat().st_size
                self._link.begin(item.key, self._setup.timeout_s + size / 1e6)
                self._process(job, wanted, writer)
        except Refused as refused:
            self._rejected += [entry for entry in self._refusals(item, refused) if not self._removed.covers(entry)]
        frames = sum(clip.frames for clip in writer.clips[before:])
        took_s = time.perf_counter() - start_s
        self._link.done(item.key, VideoResult(item.key, self._fetch_s.get(item.key, 0.0), took_s, frames, size))

    def _refusals(self, item: PlannedItem, refused: Refused) -> list[Rejected]:
        return self._maker.refusals(item, self._shard.split, refused)

    def _wanted(self, item: PlannedItem) -> dict[str, Rejected]:
        """Samples of an item whose people were not removed for good; each with the record of its failure."""
        refused = Refused("track", "failed", "nothing came of it")
        return {entry.clip_id: entry for entry in self._refusals(item, refused) if not self._removed.covers(entry)}

    def _process(self, job: VideoJob | PhotoJob, wanted: Mapping[str, Rejected], writer: ShardWriter) -> None:
        """Take in what becomes of a job; every sample that it asks for has an end."""
        names: set[str] = set()
        ended: set[str] = set()
        problem = ""
        with closing(self._outcomes(job)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, str):
                    problem = outcome
                    break
                self._link.alive()
                name = outcome.info.clip_id if isinstance(outcome, ClipData) else outcome.clip_id
                sample = self._sample_of(name, wanted)
                if sample is None or name in names:
                    problem = f"gave a clip {name} that was not asked for"
                    break
                names.add(name)
                ended.add(sample)
                self._take(outcome, job, writer)
        for sample, record in wanted.items():
            if sample not in ended:
                self._rejected.append(replace(record, detail=problem or record.detail))
            elif problem and self._maker.source.cuts:
                self._rejected.append(replace(record, clip_id=f"{sample}-rest", detail=problem))

    def _sample_of(self, name: str, waiting: Mapping[str, object]) -> str | None:
        """Which sample a clip belongs to: its own name, or for whole videos the name before its number."""
        if name in waiting:
            return name
        stem = name.rpartition("-")[0]
        return stem if self._maker.source.cuts and stem in waiting else None

    def _take(self, outcome: ClipData | Rejected, job: VideoJob | PhotoJob, writer: ShardWriter) -> None:
        if isinstance(outcome, Rejected):
            # Paths of this machine have no place in a dataset, and would differ between two of them.
            detail = outcome.detail.replace(str(job.path), job.path.name)
            self._rejected.append(replace(outcome, detail=detail))
            return
        info = outcome.info
        if self._removed.covers(info):
            return
        try:
            writer.append(outcome)
        except InputError as error:
            self._rejected.append(
                Rejected(info.clip_id, info.video, info.identity, info.split, "annotate", "invalid-clip", str(error))
            )

    def _outcomes(self, job: VideoJob | PhotoJob) -> Generator[ClipData | Rejected | str, None, None]:
        """What the processor gives; where it fails in a way of its own, what it said comes last."""
        try:
            yield from self._processor.process(job)
        except (OutputError, DependencyError, UsageError, MemoryError):
            raise  # not this video's fault: the run stops, or the worker dies and is replaced
        except OSError as error:
            if error.errno in _FULL:
                raise
            yield _said(error, job)
        except Exception as error:  # noqa: BLE001  one video's unforeseen trouble costs that video, and is recorded
            yield _said(error, job)


def _said(error: Exception, job: VideoJob | PhotoJob) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return text.replace(str(job.path), job.path.name)


def _poisoned(reason: str) -> Refused:
    what = {
        "crashed": "the process that worked on it died twice",
        "timeout": "it gave no sign of life for too long, twice",
    }
    return Refused("track", reason, what.get(reason, reason))


def _output_error(error: OSError, dataset: Path) -> OutputError:
    full = error.errno in _FULL or "No space left" in str(error) or "quota exceeded" in str(error).lower()
    what = "the disk is full; free some space and run the same command again" if full else f"{error.strerror or error}"
    return OutputError(f"{error.filename or dataset}: cannot be written: {what}")
