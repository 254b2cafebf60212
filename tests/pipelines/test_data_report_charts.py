"""Charts and figures of the dataset report: nothing is lost between values, bars and words."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from avatarkit.pipelines.data_report.charts import Bars, Mark, binned, histogram, number, round_step, shares, ticks
from avatarkit.pipelines.data_report.page import duration, gigabytes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345, "12,345"), (1234.5, "1,234"), (99.96, "100"), (12.34, "12.3"), (3.256, "3.26"), (3.2, "3.2"),
     (0.0412, "0.041"), (-0.5, "-0.5"), (math.nan, "–"), (math.inf, "–")],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_units() -> None:
    assert [gigabytes(count) for count in (12, 25_900, 45e6, 1.234e9, 2e12)] == [
        "12 bytes", "25.9 kB", "45 MB", "1.23 GB", "2 TB"]  # fmt: skip
    assert [duration(hours) for hours in (12.34, 0.5, 40 / 3600)] == ["12.3 h", "30 min", "40 s"]


def test_steps_and_ticks() -> None:
    assert [round_step(value) for value in (0.011, 0.3, 1.0, 2.1, 2.6, 7.0, 1000.1)] == [
        0.02, 0.5, 1.0, 2.5, 5.0, 10.0, 2000.0]  # fmt: skip
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(3.2, 9.7, 5) == [4, 6, 8]
    assert ticks(5, 5, 3) == [5]


def test_bins_lose_nothing() -> None:
    assert binned([1.0, 2.0, 2.5, 4.0], [True, False, True, True], 3) == Bars(
        (1.0, 2.0, 3.0, 4.0), (1, 1, 1), (0, 1, 0))  # fmt: skip
    assert binned([math.nan], [True]) == Bars((), (), ())
    same = binned([7.0] * 5, [True] * 5)
    assert sum(same.kept) == 5
    draw = np.random.default_rng(1)
    for scale in (1e-3, 1.0, 1e4):
        values = (draw.standard_normal(500) * scale).tolist()
        bars = binned(values, [value > 0 for value in values])
        assert sum(bars.kept) + sum(bars.dropped) == 500
        assert sum(bars.kept) == sum(value > 0 for value in values)
        assert bars.edges[0] <= min(values)
        assert bars.edges[-1] >= max(values)


def test_bars_have_the_height_of_their_counts() -> None:
    chart = histogram("x", "T", "axis", "px", "clips", Bars((0.0, 1.0, 2.0), (4, 1), (0, 1)), [Mark(1.0, "<median>")])
    heights = [(kind, float(height)) for kind, height in re.findall(r'<rect class="(\w+)".*?height="([\d.]+)"', chart)]
    assert heights == [("kept", 150.0), ("kept", 37.5), ("dropped", 37.5)]
    assert "0 to 1 px: 4 clips" in chart
    assert "1 to 2 px: 1 kept and 1 deselected clips" in chart
    assert "&lt;median&gt;" in chart
    assert "axis [px]" in chart


def test_shares() -> None:
    chart = shares("x", "T", [("Process", 3.0), ("Fetch & wait", 1.5)], "h")
    assert re.findall(r'rect class="kept" [^>]*width="([\d.]+)"', chart) == ["170.0", "85.0"]
    assert "Fetch &amp; wait" in chart
    assert "3 h" in chart
