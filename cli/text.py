"""Small pieces of terminal text: escaping, durations, aligned columns, sparklines."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Sequence

SPARKS = "▁▂▃▄▅▆▇█"


def one_line(text: str) -> str:
    """`text` with everything that could break the line or steer the terminal written as an escape."""
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else _escape(char) for char in text
    )


def collapse(text: str) -> str:
    """`text` with each run of white space, line breaks too, turned into one space."""
    return " ".join(text.split())


def duration(seconds: float) -> str:
    """A length of time to read: "0.4 s", "52 s", "2:05 min", "1:02:05 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, two spaces apart; wide characters count as two."""
    from rich.cells import cell_len

    cells = [[one_line(cell) for cell in row] for row in rows]
    count = max((len(row) for row in cells), default=0)
    widths = [max((cell_len(row[at]) for row in cells if at < len(row)), default=0) for at in range(count)]
    return [
        "  ".join(cell + " " * (widths[at] - cell_len(cell)) for at, cell in enumerate(row)).rstrip()
        for row in cells
    ]


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Values over time as at most `width` blocks, lowest to highest; a gap where no value is known."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [at * len(values) // count for at in range(count + 1)]
    means = [_mean(values[start:end]) for start, end in itertools.pairwise(edges)]
    known = [mean for mean in means if mean is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    return "".join(" " if mean is None else _spark(mean - low, span) for mean in means)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def _spark(above: float, span: float) -> str:
    return SPARKS[0] if span == 0 else SPARKS[round(above / span * (len(SPARKS) - 1))]
