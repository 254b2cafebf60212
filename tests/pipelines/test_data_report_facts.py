"""Figures of the dataset report: why a clip was not selected, failures by class, settings as rows."""

from __future__ import annotations

import dataclasses
import math

from avatarkit.data.clip import ClipInfo, Rejected
from avatarkit.pipelines.data_report.facts import MAX_DETAIL, MAX_EXAMPLES, examples, failures, flat, why_not
from avatarkit.prepare.fetch.failures import FAILURE_CLASSES, MEANINGS

CLIP = ClipInfo("a", "anna", "v", "1", "train", "x", "", "", "25", 0.0, 5, 500.0, 900.0, 300.0, 0.5, 50.0, 3.0)
RULE = {"keep_top": 0.5, "min_head_px": 500.0, "min_sharpness": 0.4, "scorer": "hyperiqa"}


def test_why_a_clip_was_not_selected() -> None:
    def reason(**changes: float) -> str:
        return why_not(dataclasses.replace(CLIP, **changes), RULE)

    assert reason(head_px=499.0) == "below-min-head-px"
    assert reason(head_px=math.nan) == "below-min-head-px"
    assert reason(sharpness=0.3) == "below-min-sharpness"
    assert reason() == "below-the-top-share"
    assert reason(score=math.nan) == "no-score"


def test_failures_in_order_of_number_then_class() -> None:
    ones = [
        Rejected(f"{reason}-{n}", f"{reason}-{n}", "x", "train", "fetch", reason, "said")
        for reason, count in (("unknown", 2), ("network", 2), ("geo", 3), ("from-elsewhere", 2))
        for n in range(count)
    ]
    ones.append(Rejected("t", "t", "x", "train", "track", "geo", "another stage"))
    rows = failures(ones)
    assert [(row["class"], row["videos"], row["tried_again"]) for row in rows] == [
        ("geo", 3, False),
        ("network", 2, True),
        ("unknown", 2, False),
        ("from-elsewhere", 2, False),
    ]
    assert rows[3]["meaning"] == ""


def test_examples_are_few_and_short() -> None:
    ones = [Rejected(f"c{9 - n}", "v", "x", "train", "fetch", "geo", "long" * 200) for n in range(10)]
    found = examples(ones)
    assert [one["id"] for one in found] == [f"c{n}" for n in range(MAX_EXAMPLES)]
    assert len(found[0]["detail"]) == MAX_DETAIL
    assert found[0]["detail"].endswith("…")


def test_every_class_has_a_meaning() -> None:
    assert set(MEANINGS) == set(FAILURE_CLASSES)


def test_flat() -> None:
    rows = flat({"a": 1, "b": {"c": [1, 2], "d": None}, "e": []})
    assert rows == [("a", "1"), ("b.c", "1, 2"), ("b.d", "–"), ("e", "–")]
