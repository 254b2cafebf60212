"""Pieces of terminal text."""

from __future__ import annotations

import math

import pytest

from avatarkit.cli.text import collapse, columns, duration, one_line, sparkline


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("Zoë 東京.png", "Zoë 東京.png"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("turned \u202e round", "turned \\u202e round"),
        ("not utf-8: \udcff", "not utf-8: \\udcff"),
        ("wide\u3000space and nbsp\xa0", "wide\u3000space and nbsp\xa0"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_collapse() -> None:
    assert collapse(" a\n\tb  c\n") == "a b c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (125, "2:05 min"),
        (3599.7, "1:00:00 h"),
        (3725, "1:02:05 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_columns_align_wide_characters() -> None:
    assert columns([("a", "1", "x"), ("東京", "22"), ("c\n", "3")]) == ["a     1   x", "東京  22", "c\\n   3"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([5.0, 5.0], "▁▁"),
        ([0.0, 7.0, 3.0], "▁█▄"),
        ([0.0, math.nan, 7.0], "▁ █"),
        ([math.nan], " "),
    ],
)
def test_sparkline(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def test_sparkline_averages_what_does_not_fit() -> None:
    assert sparkline([0.0, 0.0, 7.0, 7.0, 3.0, 3.0], width=3) == "▁█▄"
    assert len(sparkline([float(at) for at in range(1000)], width=60)) == 60
