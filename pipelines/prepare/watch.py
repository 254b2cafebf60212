"""What a run keeps book of while its workers work: ledger, progress, heartbeat, room for originals."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from avatarkit.data.ledger import Ledger, VideoResult
from avatarkit.data.plan import Plan, PlannedShard
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import read_stats, shard_path, stats_path
from avatarkit.errors import OutputError
from avatarkit.pipelines.prepare.config import RunOptions
from avatarkit.pipelines.prepare.jobs import JobMaker
from avatarkit.runtime import Progress, counted
from avatarkit.work.task import MOST_CRASHES, Result

EARLY_BEAT_S, EARLY_S, BEAT_S = 60.0, 600.0, 600.0
"""A heartbeat a minute in the first ten minutes, then one every ten."""


class RunWatcher:
    """Keeps the book of one run; the pool, or the collector of a cluster's results, calls it.

    Args:
        plan: the whole plan. todo: shards of this run.
        maker: of jobs; knows where originals are.
        ledger: open for writing. progress: shown to the user. options: of the run.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plan: Plan,
        todo: Iterable[PlannedShard],
        maker: JobMaker,
        ledger: Ledger,
        progress: Progress,
        options: RunOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._todo = {shard.name: shard for shard in todo}
        self._maker, self._ledger, self._progress, self._options = maker, ledger, progress, options
        self._clock = clock
        self._start_s = self._beat_s = clock()
        self._frames = {(s.name, i.key): max(1, i.frames) for s in self._todo.values() for i in s.items}
        self._all_frames = sum(self._frames.values())
        self._counts: Counter[str] = Counter()
        self._shards_of = _in_several(plan) if maker.source.download else {}
        self.advice: tuple[str, ...] = ()
        progress.stage("prepare", self._all_frames, "photos" if maker.source.holds == "photos" else "frames")

    def opened(self, advice: tuple[str, ...]) -> None:
        """Keep what would be better for the closing report."""
        self.advice = advice

    def started(self, task: str, worker: str) -> None:
        """A shard has begun."""
        self._ledger.start_shard(task, worker)

    def begun(self, task: str, step: str, worker: str) -> None:
        """A video has begun."""
        self._ledger.start_video(task, step, worker)

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """Count a crash; the user is told of each."""
        times = self._ledger.crash(task, step, reason, worker)
        self._ledger.event(reason, detail, shard=task, video=step, worker=worker)
        what = "tried once more" if times < MOST_CRASHES else f"refused as {reason}"
        self._progress.notice(f"{step}: the worker {detail}; it is {what}")

    def poisoned(self, task: str) -> Mapping[str, str]:
        """Videos that have crashed too often."""
        return self._ledger.poisoned(task, MOST_CRASHES)

    def alive(self, task: str, progress: object, worker: str) -> None:
        """Videos are counted when they have ended."""

    def done(self, task: str, step: str, value: VideoResult, worker: str) -> None:
        """Count a video; one that is done again in a shard's second turn counts once."""
        frames = self._frames.pop((task, step), None)
        if frames is not None:
            self._counts["videos"] += 1
            self._progress.advance(frames)

    def ended(self, result: Result, worker: str) -> None:
        """Take a sealed shard into the ledger, its originals may go; or say why one waits."""
        shard = result.task.name
        if result.how == "done":
            self.take_in(shard, worker, result.value, result.seconds)
            if not self._options.keep_originals and self._maker.source.download:
                self.drop_originals(self._todo[shard])
            return
        video, kind, detail = result.failures[0]
        more = f" and {len(result.failures) - 1} more" if len(result.failures) > 1 else ""
        self._ledger.event("deferred", f"{kind}: {detail}", shard=shard, video=video)
        self._progress.notice(f"{shard}: {video}{more} could not be fetched ({kind}); tried again at the end")

    def may_reserve(self, size: int, reserved: int, *, oldest: bool) -> bool:
        """Whether the quota has room; the oldest shard always has, or nobody could go on."""
        quota = self._options.disk_quota
        return quota is None or oldest or self._kept_bytes() + reserved + size <= quota

    def tick(self) -> None:
        """Give a heartbeat when one is due."""
        now_s = self._clock()
        every_s = EARLY_BEAT_S if now_s - self._start_s < EARLY_S else BEAT_S
        if now_s - self._beat_s >= every_s:
            self._beat_s = now_s
            self._ledger.event("heartbeat", self._state())
            self._progress.notice(self._state())

    def take_in(
        self, shard: str, worker: str = "", results: Iterable[VideoResult] = (), seconds: float | None = None
    ) -> None:
        """Read what a sealed shard holds into the ledger."""
        stats = read_stats(self._maker.dataset, shard)
        if stats is None:
            raise OutputError(f"{stats_path(self._maker.dataset, shard)}: has vanished; run the same command again")
        clips = ShardReader(shard_path(self._maker.dataset, shard)).clips
        self._ledger.seal(
            shard, clips, stats.rejected, results=results, worker=worker, seconds=seconds, size=stats.bytes
        )
        self._counts["sealed"] += 1
        self._counts["clips"] += len(clips)
        self._counts["rejected"] += len(stats.rejected)

    def drop_originals(self, shard: PlannedShard) -> None:
        """Delete downloaded videos of a sealed shard, but for those that another shard still needs."""
        for item in shard.items:
            others = self._shards_of.get(item.key, ())
            if all(stats_path(self._maker.dataset, other).exists() for other in others):
                path = self._maker.fetched(item.key)
                if path is not None:
                    path.unlink(missing_ok=True)

    def _kept_bytes(self) -> int:
        total = 0
        for folder, _, names in os.walk(self._maker.originals):
            for name in names:
                with contextlib.suppress(OSError):  # a file that goes while it is looked at
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def _state(self) -> str:
        done = self._all_frames - sum(self._frames.values())
        spent_s = self._clock() - self._start_s
        left = ""
        if 0 < done < self._all_frames:
            left = f"; about {_duration(spent_s * (self._all_frames - done) / done)} left"
        counts = self._counts
        return (
            f"{counts['sealed']} of {len(self._todo)} shards sealed, {counted(counts['videos'], 'videos')} done,"
            f" {counted(counts['clips'], 'clips')}, {counts['rejected']} rejected{left}"
        )


def _in_several(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Shards of each video that is in more than one."""
    result: dict[str, list[str]] = {}
    for shard in plan.shards:
        for item in shard.items:
            result.setdefault(item.key, []).append(shard.name)
    return {key: tuple(names) for key, names in result.items() if len(names) > 1}


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes} min"
