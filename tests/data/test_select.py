"""Selection: exact ranks with ties, thresholds, one scorer, and no picture read."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data import reader as reader_module
from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.dataset import Dataset
from avatarkit.data.manifest import write_manifest
from avatarkit.data.marks import read_selection
from avatarkit.data.select import SelectionRule, one_scorer, rank, reselect, select
from avatarkit.data.shard import FOLDER, seal_shard, shard_name
from avatarkit.data.writer import ShardWriter
from avatarkit.errors import InputError, UsageError

SCORER = ("sharpness", "")


def info(name: str, score: float, split: Split = "train", **values: float) -> ClipInfo:
    numbers = {"head_px": 300.0, "effective_px": 200.0, "sharpness": 0.5, **values}
    return ClipInfo(
        clip_id=name, identity=f"p-{name}", video=name, utterance="", split=split, source="s", licence="l", author="a",
        native_rate="25", start_s=0.0, frames=1, bitrate_kbps=1.0, score=score, yaw_deg=0.0, **numbers,
    )  # fmt: skip


def test_ties_go_by_clip_id() -> None:
    clips = [info(name, score) for name, score in (("d", 2.0), ("b", 1.0), ("a", 1.0), ("c", 1.0), ("e", math.nan))]
    assert [clip.clip_id for clip in rank(clips, 0.6)] == ["d", "a", "b"]
    assert [clip.clip_id for clip in rank(clips, 1.0)] == ["d", "a", "b", "c", "e"]


@pytest.mark.parametrize(
    ("count", "share", "kept"), [(5, 0.5, 3), (4, 0.5, 2), (30, 0.1, 3), (1, 0.01, 1), (0, 0.5, 0), (7, 1.0, 7)]
)
def test_share_is_rounded_up_and_exact(count: int, share: float, kept: int) -> None:
    assert len(rank([info(f"{at:02d}", float(at)) for at in range(count)], share)) == kept


def test_each_split_has_a_rank_of_its_own() -> None:
    clips = [info(f"t{at}", 10.0 + at) for at in range(4)] + [info(f"v{at}", float(at), "val") for at in range(4)]
    kept, report = select(clips, SelectionRule(keep_top=0.5), SCORER)
    assert kept == ["t2", "t3", "v2", "v3"]
    assert report.splits["train"].lowest_score == 12.0
    assert report.splits["val"].lowest_score == 2.0
    assert report.kept == 4
    assert report.summary_lines()[0] == "train: 2 of 4 clips kept, scores from 12 up"


def test_thresholds_come_before_the_share() -> None:
    clips = [info("a", 9.0, head_px=100), info("b", 8.0), info("c", 7.0, sharpness=math.nan), info("d", 1.0)]
    rule = SelectionRule(keep_top=0.5, min_head_px=200, min_sharpness=0.5)
    kept, report = select(clips, rule, SCORER)
    assert kept == ["b"]
    assert (report.splits["train"].clips, report.splits["train"].passed) == (4, 2)
    assert report.dropped_by == {"min_head_px": 1, "min_sharpness": 1}
    assert select(clips, SelectionRule(min_score=8.0), SCORER)[0] == ["a", "b"]
    assert select(clips, SelectionRule(min_effective_px=201), SCORER)[0] == []


@given(st.lists(st.tuples(st.floats(-5, 5) | st.just(math.nan), st.sampled_from(["train", "val"])), max_size=30))
def test_nothing_kept_is_worse_than_what_is_dropped(scores: list[tuple[float, Split]]) -> None:
    clips = [info(f"{at:02d}", score, split) for at, (score, split) in enumerate(scores)]
    kept = set(select(clips, SelectionRule(keep_top=0.3), SCORER)[0])
    for split in ("train", "val"):
        own = [clip for clip in clips if clip.split == split]
        inside = [-math.inf if math.isnan(c.score) else c.score for c in own if c.clip_id in kept]
        outside = [-math.inf if math.isnan(c.score) else c.score for c in own if c.clip_id not in kept]
        assert min(inside, default=math.inf) >= max(outside, default=-math.inf)


def test_two_scorers_never_mix() -> None:
    found = [("train-00000", ("hyperiqa", "ab" * 32)), ("train-00001", ("sharpness", ""))]
    with pytest.raises(InputError) as caught:
        one_scorer(found, SelectionRule(keep_top=0.5))
    assert str(caught.value).startswith(
        "train-00000 was scored by hyperiqa with weights abababababab, train-00001 by sharpness: such scores do not"
    )
    with pytest.raises(InputError):
        one_scorer([("a", ("hyperiqa", "ab")), ("b", ("hyperiqa", "cd"))], SelectionRule(min_score=3.0))
    assert one_scorer(found, SelectionRule(min_head_px=3.0)) == ("", "")
    assert one_scorer(found[:1] * 2, SelectionRule(keep_top=0.5)) == ("hyperiqa", "ab" * 32)


@pytest.mark.parametrize("values", [{"keep_top": 0.0}, {"keep_top": 1.1}, {"min_score": math.nan}])
def test_rules_that_select_nothing_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        SelectionRule(**values)


def thousand_clips(folder: Path) -> None:
    from drawn_clips import drawn_clip

    (folder / FOLDER).mkdir(parents=True)
    stats = []
    for number in range(4):
        name = shard_name("train", number)
        clips = [
            drawn_clip(f"{number}-{at:03d}", identity=f"p{at}", frames=1, score=float((at * 37 + number) % 1000))
            for at in range(250)
        ]
        with ShardWriter(folder / "part.h5", {"scorer": "sharpness"}) as writer:
            for clip in clips:
                writer.append(clip)
        stats.append(seal_shard(folder, name, folder / "part.h5", [clip.info for clip in clips]))
    write_manifest(folder, stats, kind="videos", size=64, plan_hash="", config_hash="", config={}, tools={})


def test_thousand_clips_anew_without_reading_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thousand_clips(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("a picture was read")

    for name in ("image", "matte", "image_bytes", "matte_bytes"):
        monkeypatch.setattr(reader_module.ShardReader, name, refuse)
    for name in ("decode_image", "decode_matte"):
        monkeypatch.setattr(reader_module, name, refuse)
    start_s = time.thread_time()
    report = reselect(tmp_path, SelectionRule(keep_top=0.25))
    assert time.thread_time() - start_s < 5
    assert report.splits["train"].kept == 250
    selection = read_selection(tmp_path)
    assert selection is not None
    assert selection.rule == {"keep_top": 0.25, "scorer": ["sharpness", ""]}
    kept = Dataset.open(tmp_path).clips("train")
    assert len(kept) == 250
    assert min(clip.score for clip in kept) == report.splits["train"].lowest_score
    reselect(tmp_path, SelectionRule())
    assert len(Dataset.open(tmp_path).clips("train")) == 1000
