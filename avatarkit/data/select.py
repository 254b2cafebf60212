"""Selection: which of a dataset's clips training uses, by stored scores and sizes alone; no picture is decoded.

The rank is global within a split: the MegaPortraits paper ranks VoxCeleb2's videos by their mean score and drops the
lower half (N. Drobyshev et al., 2022, section 4).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from avatarkit.data.clip import SPLITS, ClipInfo, Split
from avatarkit.data.manifest import read_manifest
from avatarkit.data.marks import write_selection
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import shard_path
from avatarkit.errors import InputError, UsageError

Scorer = tuple[str, str]
"""A scorer's name and the hash of its weights, "" for one without."""


@dataclass(frozen=True)
class SelectionRule:
    """What a clip must reach; thresholds first, then the share of those that are left.

    keep_top: share of each split's clips to keep, best scores first, above 0 and at most 1; None keeps all.
    min_score: in the scorer's unit. min_head_px, min_effective_px: pixels. min_sharpness: of the built-in measure.
    """

    keep_top: float | None = None
    min_score: float | None = None
    min_head_px: float | None = None
    min_effective_px: float | None = None
    min_sharpness: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that select nothing with a UsageError."""
        if self.keep_top is not None and not 0 < self.keep_top <= 1:
            raise UsageError(f"--keep-top {self.keep_top}: use a share above 0 and up to 1, such as 0.5")
        for name in ("min_score", "min_head_px", "min_effective_px", "min_sharpness"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise UsageError(f"--{name.replace('_', '-')} {value}: use a number")

    @property
    def needs_scores(self) -> bool:
        """Whether the scorer's numbers decide anything."""
        return self.min_score is not None or (self.keep_top is not None and self.keep_top < 1)

    def to_json(self) -> dict[str, float]:
        """What is asked for, without what is not."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class SplitCount:
    """Clips of one split: all, those that pass the thresholds, those kept, and the lowest score kept (NaN: none)."""

    clips: int
    passed: int
    kept: int
    lowest_score: float


@dataclass(frozen=True)
class SelectionReport:
    """What a selection keeps: counts by split, who scored, the rule, and how many clips each threshold alone drops."""

    rule: SelectionRule
    scorer: Scorer
    splits: dict[Split, SplitCount]
    dropped_by: dict[str, int]

    @property
    def kept(self) -> int:
        """Clips kept in all splits."""
        return sum(count.kept for count in self.splits.values())

    def summary_lines(self) -> list[str]:
        """One line per split."""
        lines = []
        for split, count in self.splits.items():
            score = "" if math.isnan(count.lowest_score) else f", scores from {count.lowest_score:.4g} up"
            lines.append(f"{split}: {count.kept} of {count.clips} clips kept{score}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "rule": self.rule.to_json(),
            "scorer": list(self.scorer),
            "splits": {
                split: {
                    **vars(count),
                    "lowest_score": None if math.isnan(count.lowest_score) else count.lowest_score,
                }
                for split, count in self.splits.items()
            },
            "dropped_by": self.dropped_by,
        }


def rank(clips: Iterable[ClipInfo], keep_top: float) -> list[ClipInfo]:
    """The best share of some clips of one split, best first.

    Clips without a score come last; equal scores are ordered by clip id. The number kept is the share of all,
    rounded up, so at least one.
    """
    ordered = sorted(clips, key=lambda clip: (math.isnan(clip.score), -clip.score, clip.clip_id))
    # As decimals: 0.1 of 30 is 3, and not the 4 that binary fractions would round up to.
    return ordered[: math.ceil(Fraction(str(keep_top)) * len(ordered))]


def passes(clip: ClipInfo, rule: SelectionRule) -> bool:
    """Whether a clip reaches all thresholds; what was not measured reaches none."""
    return not list(failures(clip, rule))


def failures(clip: ClipInfo, rule: SelectionRule) -> list[str]:
    """Names of the thresholds that a clip does not reach."""
    measured = {
        "min_score": clip.score,
        "min_head_px": clip.head_px,
        "min_effective_px": clip.effective_px,
        "min_sharpness": clip.sharpness,
    }
    wanted = {name: getattr(rule, name) for name in measured}
    return [name for name, least in wanted.items() if least is not None and not measured[name] >= least]


def select(clips: Sequence[ClipInfo], rule: SelectionRule, scorer: Scorer) -> tuple[list[str], SelectionReport]:
    """Apply a rule to clips that one scorer rated.

    Returns:
        The ids kept, sorted, and the counts.
    """
    kept: list[ClipInfo] = []
    splits: dict[Split, SplitCount] = {}
    for split in SPLITS:
        own = [clip for clip in clips if clip.split == split]
        if not own:
            continue
        passed = [clip for clip in own if passes(clip, rule)]
        best = passed if rule.keep_top is None else rank(passed, rule.keep_top)
        scores = [clip.score for clip in best if not math.isnan(clip.score)]
        splits[split] = SplitCount(len(own), len(passed), len(best), min(scores, default=math.nan))
        kept += best
    dropped = Counter(name for clip in clips for name in failures(clip, rule))
    report = SelectionReport(rule, scorer, splits, dict(sorted(dropped.items())))
    return sorted(clip.clip_id for clip in kept), report


def one_scorer(found: Iterable[tuple[str, Scorer]], rule: SelectionRule) -> Scorer:
    """The scorer of all shards; `found` are the shards' names and their scorers.

    Raises:
        InputError: two scorers rated them and the rule ranks by scores: they do not compare.
    """
    first: tuple[str, Scorer] | None = None
    for shard, scorer in found:
        if first is None:
            first = shard, scorer
        elif scorer != first[1]:
            if not rule.needs_scores:
                return "", ""
            raise InputError(
                f"{first[0]} was scored by {_named(first[1])}, {shard} by {_named(scorer)}: such scores do not compare;"
                " prepare the data again with one scorer, or select by sizes alone"
            )
    return first[1] if first else ("", "")


def reselect(dataset: Path, rule: SelectionRule, *, shards: Sequence[str] | None = None) -> SelectionReport:
    """Choose a dataset's clips anew from what its shards store, and write selection.json.

    Args:
        dataset: its folder.
        rule: what to keep.
        shards: names, where there is no manifest yet; by default the manifest's.

    Raises:
        InputError: not a finished dataset, a damaged shard, or scores of two scorers.
        OSError: it cannot be written.
    """
    names = [entry.name for entry in read_manifest(dataset).shards] if shards is None else list(shards)
    clips: list[ClipInfo] = []
    scorers: list[tuple[str, Scorer]] = []
    for name in names:
        reader = ShardReader(shard_path(dataset, name))
        if reader.clips:
            clips += reader.clips
            scorers.append((name, scorer_of(reader.attributes)))
    scorer = one_scorer(scorers, rule)
    kept, report = select(clips, rule, scorer)
    write_selection(dataset, kept, {**rule.to_json(), "scorer": list(scorer)})
    return report


def scorer_of(attributes: dict[str, str]) -> Scorer:
    """The scorer by a shard's attributes."""
    return attributes.get("scorer", ""), attributes.get("scorer_sha256", "")


def _named(scorer: Scorer) -> str:
    name, sha256 = scorer
    return f"{name or 'nobody'} with weights {sha256[:12]}" if sha256 else name or "nobody"
