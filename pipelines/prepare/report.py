"""What a run of prepare-data came to, and what one would come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarkit.data.clip import SPLITS, Split
from avatarkit.data.marks import read_selection
from avatarkit.data.plan import Plan, PlannedShard
from avatarkit.data.shard import ShardStats, read_stats
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.sources.draft import frame_bytes
from avatarkit.runtime import counted

FRAMES_PER_S = 30.0
"""Of one worker, assumed for the estimate of a dry run; `avatarkit data report` tells what a finished run had."""


@dataclass(frozen=True)
class SplitSum:
    """One split: people and clips accepted, their seconds, and how many samples were refused."""

    people: int
    clips: int
    seconds: float
    rejected: int


@dataclass(frozen=True)
class PrepareReport:
    """What is in a dataset after a run.

    holds: "photos" or "videos".
    planned: samples of the plan, dropped ones too. rejected: counts by (stage, reason), the plan's too. selected:
    clips that the selection keeps; None before the end. finished: whether the manifest is written. waiting: shards
    that are not sealed. advice: what would be better, and by which command.
    """

    out: Path
    kind: str
    holds: str
    planned: int
    splits: dict[Split, SplitSum]
    rejected: dict[tuple[str, str], int]
    shards: int
    waiting: int
    bytes: int
    selected: int | None
    finished: bool
    seconds: float
    advice: tuple[str, ...] = ()

    @property
    def clips(self) -> int:
        """Clips accepted."""
        return sum(item.clips for item in self.splits.values())

    def summary_lines(self) -> list[str]:
        """The run in a few lines: the funnel, why things were refused, the splits."""
        unit = "photos" if self.holds == "photos" else "clips"
        refused = sum(self.rejected.values())
        lines = [f"{counted(self.planned, 'samples')} planned, {counted(self.clips, unit)} accepted, {refused} refused"]
        ranked = sorted(self.rejected.items(), key=lambda one: (-one[1], one[0]))
        lines += [f"  {count} {reason} ({stage})" for (stage, reason), count in ranked]
        for split, one in self.splits.items():
            length = "" if self.holds == "photos" else f", {one.seconds / 3600:.2f} h"
            lines.append(f"{split}: {counted(one.people, 'people')}, {counted(one.clips, unit)}{length}")
        if self.finished and self.clips and "train" not in self.splits:
            lines.append("nobody is in train: so few people want --val-share 0 --test-share 0 and another --output")
        elif self.finished and self.clips and (self.splits["val"].people if "val" in self.splits else 0) < 2:
            lines.append(
                "fewer than two people are in val: trainings will measure on people whom they know; for strangers"
                " prepare again with a larger --val-share or another --seed, to another --output"
            )
        if self.selected is not None:
            lines.append(f"selected: {self.selected} of {self.clips} {unit}")
        lines += [f"better: {line}" for line in self.advice]
        size = f"{counted(self.shards, 'shards')}, {self.bytes / 1e6:.1f} MB"
        if self.finished:
            lines.append(f"{self.out}: finished, {size}")
        else:
            done = self.shards - self.waiting
            lines.append(f"{self.out}: {done} of {self.shards} shards sealed; the rest is in other hands or waits")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out),
            "kind": self.kind,
            "planned": self.planned,
            "accepted": self.clips,
            "rejected": [[stage, reason, count] for (stage, reason), count in sorted(self.rejected.items())],
            "splits": {split: vars(item) for split, item in self.splits.items()},
            "shards": self.shards,
            "waiting": self.waiting,
            "bytes": self.bytes,
            "selected": self.selected,
            "finished": self.finished,
            "seconds": round(self.seconds, 3),
            "advice": list(self.advice),
        }


def report_of(
    job: PrepareJob, plan: Plan, *, finished: bool, seconds: float, advice: Sequence[str] = ()
) -> PrepareReport:
    """The report of a dataset as it now is."""
    every = [(shard, read_stats(job.out, shard.name)) for shard in plan.shards]
    stats = [item for _, item in every if item is not None]
    rejected: Counter[tuple[str, str]] = Counter()
    for item in plan.dropped:
        rejected["plan", item.reason] += len(item.tracks)
    for entry in stats:
        rejected.update((item.stage, item.reason) for item in entry.rejected)
    selection = read_selection(job.out) if finished else None
    return PrepareReport(
        out=job.out,
        kind=plan.kind,
        holds=job.source.holds,
        planned=plan.samples + sum(len(item.tracks) for item in plan.dropped),
        splits={split: known for split in SPLITS if (known := _sum(split, stats)) is not None},
        rejected=dict(rejected),
        shards=len(plan.shards),
        waiting=len(plan.shards) - len(stats),
        bytes=sum(item.bytes for item in stats),
        selected=None if selection is None else len(selection.clips),
        finished=finished,
        seconds=seconds,
        advice=tuple(advice),
    )


@dataclass(frozen=True)
class PlanReport:
    """What a run would do: one row per split, what the plan leaves out, and estimates.

    holds: "photos" or "videos".
    rows: split, people, videos, samples, frames, shards, gigabytes. dropped: samples left out by reason. problems:
    malformed lines and files. gigabytes: of all shards, expected, before anything is refused. hours: expected.
    sealed: shards that an earlier run has sealed.
    """

    kind: str
    holds: str
    rows: tuple[tuple[str, int, int, int, int, int, float], ...]
    dropped: dict[str, int]
    problems: tuple[str, ...]
    gigabytes: float
    hours: float
    workers: int
    fetch_hours: float | None
    free_gigabytes: float
    sealed: int
    notes: tuple[str, ...] = ()

    def table(self) -> list[tuple[str, ...]]:
        """Aligned columns with a heading."""
        rows: list[tuple[str, ...]] = [("split", "people", self.holds, "samples", "frames", "shards", "GB")]
        for *counts, size in self.rows:
            rows.append((*(str(count) for count in counts), f"{size:.2f}"))
        sums = [sum(int(row[at]) for row in self.rows) for at in range(1, 6)]
        rows.append(("all", *(str(count) for count in sums), f"{self.gigabytes:.2f}"))
        return rows

    def summary_lines(self) -> list[str]:
        """The estimates, and what is left out."""
        lines = [f"left out by the plan: {count} {reason}" for reason, count in sorted(self.dropped.items())]
        if self.problems:
            lines.append(f"cannot be used: {len(self.problems)} lines or files, the first: {self.problems[0]}")
        lines.append(
            f"disk: about {self.gigabytes:.2f} GB if nothing is refused, {self.free_gigabytes:.1f} GB are free there"
        )
        rate = FRAMES_PER_S * self.workers
        lines.append(
            f"time: about {self.hours:.1f} h with {counted(self.workers, 'workers')},"
            f" taking {rate:.0f} frames a second for granted"
        )
        if self.fetch_hours is not None:
            lines.append(f"fetching alone: {self.fetch_hours:.1f} h at the rate allowed")
        if self.sealed:
            lines.append(f"already sealed: {counted(self.sealed, 'shards')}")
        return [*lines, *self.notes]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = {name: value for name, value in vars(self).items() if name != "holds"}
        return {**values, "rows": [list(row) for row in self.rows], "problems": list(self.problems)}


def plan_report(job: PrepareJob, plan: Plan, *, sealed: int, free_bytes: int) -> PlanReport:
    """What carrying out a plan would mean."""
    per_frame = frame_bytes(job.config.size)
    rows = []
    for split in SPLITS:
        shards = [shard for shard in plan.shards if shard.split == split]
        if shards:
            rows.append(_row(split, shards, per_frame))
    frames = sum(row[4] for row in rows)
    dropped: Counter[str] = Counter()
    for item in plan.dropped:
        dropped[item.reason] += len(item.tracks)
    videos = sum(row[2] for row in rows)
    return PlanReport(
        kind=plan.kind,
        holds=job.source.holds,
        rows=tuple(rows),
        dropped=dict(dropped),
        problems=tuple(str(problem) for problem in plan.problems),
        gigabytes=frames * per_frame / 1e9,
        hours=frames / (FRAMES_PER_S * job.run.workers) / 3600,
        workers=job.run.workers,
        fetch_hours=videos / job.fetch.rate_per_hour if job.source.download else None,
        free_gigabytes=free_bytes / 1e9,
        sealed=sealed,
    )


def _row(split: Split, shards: list[PlannedShard], per_frame: int) -> tuple[str, int, int, int, int, int, float]:
    items = [item for shard in shards for item in shard.items]
    people = {track.identity for item in items for track in item.tracks}
    samples, frames = sum(len(item.tracks) for item in items), sum(item.frames for item in items)
    return split, len(people), len(items), samples, frames, len(shards), frames * per_frame / 1e9


def _sum(split: Split, stats: Sequence[ShardStats]) -> SplitSum | None:
    own = [item for item in stats if item.split == split]
    if not own:
        return None
    clips, seconds = sum(item.clips for item in own), sum(item.seconds for item in own)
    people = set().union(*(item.people for item in own))
    return SplitSum(len(people), clips, seconds, sum(len(item.rejected) for item in own))
