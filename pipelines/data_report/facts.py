"""The figures of a dataset report, as plain values: funnel, histograms, splits, failures, throughput, configuration."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatarkit.data.clip import SPLITS, STAGES, ClipInfo, Rejected
from avatarkit.data.plan import SAME_BYTES
from avatarkit.prepare.fetch.failures import FAILURE_CLASSES, MEANINGS, RETRYABLE

MAX_EXAMPLES = 5
MAX_DETAIL = 300

STAGE_NAMES = {
    "plan": "Plan",
    "fetch": "Fetch",
    "track": "Track",
    "crop": "Crop",
    "annotate": "Annotate",
    "score": "Score",
    "select": "Select",
}


@dataclass(frozen=True)
class Gathered:
    """What was read from a dataset's folder.

    Args:
        name: the folder's name.
        kind: "videos" or "photos".
        size: side of the stored frames, pixels.
        shards: their number; `bytes`: their size.
        clips: stored clips, in the order of shards.
        kept: ids of the selected ones.
        rejected: what did not become a clip.
        problems: what was wrong with the given metadata, a line each.
        alike: how many videos or photos are kept beside another that looks the same.
        rule: the selection's rule; empty where all clips are selected.
        threshold: lowest kept score per split.
        config: the exact configuration.
        tools: trackers, models, hashes.
        versions: of programs and packages.
        hashes: of plan and configuration.
        ledger: from the run's ledger, None if it is gone.
    """

    name: str
    kind: str
    size: int
    shards: int
    bytes: int
    clips: tuple[ClipInfo, ...]
    kept: frozenset[str]
    rejected: tuple[Rejected, ...]
    problems: tuple[str, ...]
    alike: int
    rule: Mapping[str, Any]
    threshold: Mapping[str, float]
    config: Mapping[str, Any]
    tools: Mapping[str, str]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    ledger: Mapping[str, Any] | None


@dataclass(frozen=True)
class Measure:
    """One histogram: what it shows, on which axis, and where its values come from."""

    key: str
    title: str
    axis: str
    unit: str
    note: str
    value: Callable[[ClipInfo], float]
    kinds: tuple[str, ...] = ("videos", "photos")


MEASURES = (
    Measure(
        "head_px",
        "Head size",
        "side of the head in the original",
        "px",
        "Median over a clip's frames, before any scaling.",
        lambda clip: clip.head_px,
    ),
    Measure(
        "effective_px",
        "Effective resolution",
        "side that holds the same detail",
        "px",
        "Below the stored size, the picture was enlarged or compressed before it came here.",
        lambda clip: clip.effective_px,
    ),
    Measure(
        "bitrate_kbps",
        "Bitrate of the originals",
        "bitrate",
        "kbit/s",
        "The original's video stream.",
        lambda clip: clip.bitrate_kbps,
        ("videos",),
    ),
    Measure("score", "Quality score", "mean score", "", "Mean over a clip's frames.", lambda clip: clip.score),
    Measure("sharpness", "Sharpness", "mean sharpness", "", "Mean over a clip's frames.", lambda clip: clip.sharpness),
    Measure("yaw_deg", "Head turn", "median |yaw|", "°", "0 looks into the camera.", lambda clip: clip.yaw_deg),
)
"""The histograms over clips."""


def content(found: Gathered) -> dict[str, Any]:
    """Everything that the page shows but pictures, as plain values; the same dataset gives the same values."""
    clips, kept = found.clips, [clip.clip_id in found.kept for clip in found.clips]
    return {
        "format": "avatarkit-data-report",
        "version": 1,
        "dataset": {
            "name": found.name,
            "kind": found.kind,
            "size_px": found.size,
            "shards": found.shards,
            "bytes": found.bytes,
            "selection": dict(found.rule),
            "lowest_kept_score": {split: _plain(value) for split, value in sorted(found.threshold.items())},
            **{f"{name}_hash": value for name, value in sorted(found.hashes.items())},
        },
        "totals": _totals(clips, kept, found.rejected),
        "duplicates": {
            "left_out": sum(item.reason == SAME_BYTES for item in found.rejected),
            "alike": found.alike,
        },
        "funnel": funnel(found),
        "histograms": {
            measure.key: _histogram(measure, clips, kept) for measure in MEASURES if found.kind in measure.kinds
        },
        "people": _people(clips, kept),
        "splits": splits(clips, kept),
        "failures": failures(found.rejected),
        "problems": {
            "count": len(found.problems),
            "examples": [_short(text) for text in found.problems[:MAX_EXAMPLES]],
        },
        "throughput": dict(found.ledger) if found.ledger is not None else None,
        "configuration": dict(found.config),
        "tools": dict(sorted(found.tools.items())),
        "versions": dict(found.versions),
    }


def why_not(clip: ClipInfo, rule: Mapping[str, Any]) -> str:
    """Which part of the selection's rule a clip that was not selected misses first; thresholds before the rank."""
    measured = {
        "min_head_px": clip.head_px,
        "min_effective_px": clip.effective_px,
        "min_sharpness": clip.sharpness,
        "min_score": clip.score,
    }
    for name, value in measured.items():
        wanted = rule.get(name)
        if isinstance(wanted, int | float) and not value >= wanted:
            return f"below-{name.replace('_', '-')}"
    return "no-score" if not math.isfinite(clip.score) else "below-the-top-share"


def funnel(found: Gathered) -> list[dict[str, Any]]:
    """How many samples entered each stage and left it, and why the others did not, the commonest reason first."""
    clips, kept = found.clips, found.kept
    by_stage: dict[str, dict[str, list[Rejected]]] = defaultdict(lambda: defaultdict(list))
    for entry in found.rejected:
        by_stage[entry.stage][entry.reason].append(entry)
    low = Counter(why_not(clip, found.rule) for clip in clips if clip.clip_id not in kept)
    refused = {stage: sum(map(len, by_stage[stage].values())) for stage in STAGES}
    rows: list[dict[str, Any]] = []
    entered = len(clips) + sum(refused.values())
    for stage in STAGES:
        refusals = sorted(by_stage[stage].items(), key=lambda item: (-len(item[1]), item[0]))
        rows.append(
            {
                "stage": stage,
                "entered": entered,
                "left": entered - refused[stage],
                "reasons": [
                    {"reason": reason, "count": len(items), "examples": examples(items)} for reason, items in refusals
                ],
            }
        )
        entered -= refused[stage]
    reasons = sorted(low.items(), key=lambda item: (-item[1], item[0]))
    missed = [{"reason": reason, "count": count, "examples": []} for reason, count in reasons]
    rows.append({"stage": "select", "entered": entered, "left": entered - sum(low.values()), "reasons": missed})
    return rows


def failures(rejected: Iterable[Rejected]) -> list[dict[str, Any]]:
    """Videos that could not be fetched, by class, the commonest first; a video counts once, however many clips."""
    videos: dict[str, dict[str, Rejected]] = defaultdict(dict)
    for entry in rejected:
        if entry.stage == "fetch":
            videos[entry.reason].setdefault(entry.video or entry.clip_id, entry)
    order: dict[str, int] = {name: place for place, name in enumerate(FAILURE_CLASSES)}
    rows = sorted(videos.items(), key=lambda item: (-len(item[1]), order.get(item[0], len(order)), item[0]))
    return [
        {
            "class": name,
            "videos": len(items),
            "tried_again": name in RETRYABLE,
            "meaning": MEANINGS.get(name, ""),
            "examples": examples(items.values()),
        }
        for name, items in rows
    ]


def examples(ones: Iterable[Rejected]) -> list[dict[str, str]]:
    """A few of them, by id, with what was said."""
    first = sorted(ones, key=lambda one: (one.clip_id, one.video))[:MAX_EXAMPLES]
    return [{"id": one.clip_id or one.video, "video": one.video, "detail": _short(one.detail)} for one in first]


def splits(clips: Sequence[ClipInfo], kept: Sequence[bool]) -> list[dict[str, Any]]:
    """Per split: stored and kept clips, and people, videos and hours of the kept ones."""
    rows = []
    for split in SPLITS:
        stored = [clip for clip in clips if clip.split == split]
        chosen = [clip for clip, keep in zip(clips, kept, strict=True) if keep and clip.split == split]
        rows.append({"split": split, "clips": len(stored), "kept": len(chosen), **_extent(chosen)})
    return rows


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of dotted names and texts."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((prefix + name, ", ".join(map(str, value)) or "–"))
        else:
            rows.append((prefix + name, "–" if value is None or value == "" else str(value)))
    return rows


def _totals(clips: Sequence[ClipInfo], kept: Sequence[bool], rejected: Sequence[Rejected]) -> dict[str, Any]:
    chosen = [clip for clip, keep in zip(clips, kept, strict=True) if keep]
    planned = len(clips) + len(rejected)
    return {"planned": planned, "stored": len(clips), "kept": len(chosen), "refused": len(rejected), **_extent(chosen)}


def _extent(clips: Sequence[ClipInfo]) -> dict[str, Any]:
    return {
        "people": len({clip.identity for clip in clips}),
        "videos": len({clip.video for clip in clips}),
        "frames": sum(clip.frames for clip in clips),
        "hours": round(math.fsum(clip.seconds for clip in clips) / 3600, 4),
    }


def _people(clips: Sequence[ClipInfo], kept: Sequence[bool]) -> dict[str, Any]:
    seconds: Counter[str] = Counter()
    for clip, keep in zip(clips, kept, strict=True):
        if keep:
            seconds[clip.identity] += round(clip.seconds * 1000)
    places: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        places[clip.identity].add(clip.split)
    shared = sorted(name for name, result in places.items() if len(result) > 1)
    return {
        "seconds": _spread(seconds[name] / 1000 for name in sorted(seconds)),
        "in_two_splits": {"count": len(shared), "examples": shared[:MAX_EXAMPLES]},
    }


def _histogram(measure: Measure, clips: Sequence[ClipInfo], kept: Sequence[bool]) -> dict[str, Any]:
    values = [measure.value(clip) for clip in clips]
    finite = [value for value in values if math.isfinite(value)]
    chosen = [value for value, keep in zip(values, kept, strict=True) if keep]
    return {
        "title": measure.title,
        "unit": measure.unit,
        "missing": len(values) - len(finite),
        "stored": _spread(values),
        "kept": _spread(chosen),
    }


def _spread(values: Iterable[float]) -> dict[str, float | int | None]:
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return {"count": 0, "lowest": None, "p05": None, "median": None, "p95": None, "highest": None}
    places = (float(value) for value in np.quantile(finite, (0.0, 0.05, 0.5, 0.95, 1.0)))
    low, p05, median, p95, high = (round(value, 4) for value in places)
    return {"count": int(finite.size), "lowest": low, "p05": p05, "median": median, "p95": p95, "highest": high}


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _short(text: str) -> str:
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
