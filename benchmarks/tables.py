"""Rows, medians and bars of the benchmarks, as Markdown and json."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Value = str | float | int | bool | None
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Bar:
    """A figure that must be reached; `value` is in the figure's own unit."""

    name: str
    direction: Literal["<=", ">="]
    value: float

    def holds(self, figure: float) -> bool:
        """Whether `figure` reaches the bar; a figure that is not a number does not."""
        if math.isnan(figure):
            return False
        return figure <= self.value if self.direction == "<=" else figure >= self.value

    def __str__(self) -> str:
        return f"{self.direction} {self.value:g}"


@dataclass(frozen=True)
class Verdict:
    """A figure beside its bar; `figure` is None where nothing could be measured."""

    bar: Bar
    figure: float | None
    note: str = ""

    @property
    def word(self) -> str:
        """One of "pass", "FAIL" and "not measured"."""
        if self.figure is None:
            return "not measured"
        return "pass" if self.bar.holds(self.figure) else "FAIL"


def numbers(rows: Iterable[Row], key: str) -> list[float]:
    """The values under `key` that are finite numbers."""
    values = (row.get(key) for row in rows)
    return [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]


def median_verdict(rows: Sequence[Row], bar: Bar) -> Verdict:
    """The median of the figure `bar.name` over the rows that have it; the note counts those that do not."""
    result = numbers(rows, bar.name)
    missing = len(rows) - len(result)
    note = f"median of {len(result)}" + (f"; {missing} null left out" if missing else "")
    return Verdict(bar, statistics.median(result) if result else None, note)


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A Markdown table of those columns; numbers are shown with at most four significant digits."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A Markdown table of figures, bars and whether they hold."""
    rows: list[Row] = [
        {"figure": v.bar.name, "measured": v.figure, "bar": str(v.bar), "verdict": v.word, "over": v.note}
        for v in verdicts
    ]
    return markdown(rows, ["figure", "measured", "bar", "verdict", "over"])


def shown(value: Value) -> str:
    """One cell."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value).replace("|", "\\|").replace("\n", " ")
