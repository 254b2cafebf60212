"""Charts as SVG texts: they take their colours from the page, and say in words what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 222
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 30, 42


@dataclass(frozen=True)
class Bars:
    """Counts in intervals, in two parts that stand on each other.

    Args:
        edges: interval limits, one more than counts.
        kept: counts of the lower part.
        dropped: counts of the upper part.
    """

    edges: tuple[float, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Mark:
    """A line across the chart at `value`, with a word beside it."""

    value: float
    text: str


def number(value: float, digits: int | None = None) -> str:
    """A figure to read: "12,345", "3.25", "0.041"; as many digits as tell something, or `digits` decimals."""
    if not math.isfinite(value):
        return "–"
    if digits is not None:
        return f"{value:,.{digits}f}"
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    decimals = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")


def binned(values: Sequence[float], kept: Sequence[bool], bins: int = 20) -> Bars:
    """Count values into about `bins` intervals with round limits; values that are not finite are left out."""
    finite = [(value, keep) for value, keep in zip(values, kept, strict=True) if math.isfinite(value)]
    if not finite:
        return Bars((), (), ())
    low, high = min(value for value, _ in finite), max(value for value, _ in finite)
    step = round_step((high - low) / bins) if high > low else round_step(max(abs(low), 1.0) / bins)
    first = math.floor(low / step + 1e-9)
    count = max(1, math.ceil(high / step - 1e-9) - first)
    totals = [[0] * count, [0] * count]
    for value, keep in finite:
        totals[not keep][min(count - 1, max(0, math.floor(value / step + 1e-9) - first))] += 1
    edges = tuple(round((first + place) * step, 10) for place in range(count + 1))
    return Bars(edges, tuple(totals[0]), tuple(totals[1]))


def round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= least * (1 - 1e-9))


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values from `low` to `high`, about so many."""
    if not high > low:
        return [low]
    step = round_step((high - low) / about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def histogram(name: str, title: str, axis: str, unit: str, noun: str, bars: Bars, marks: Sequence[Mark] = ()) -> str:
    """A histogram; `name` makes its ids unique in the page, `noun` is what is counted ("clips")."""
    totals = [low + high for low, high in zip(bars.kept, bars.dropped, strict=True)]
    low, high, top = bars.edges[0], bars.edges[-1], max(totals)
    counts = [tick for tick in ticks(0, top, 4) if tick == int(tick)]

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 2)

    def y(count: float) -> float:
        return round(HEIGHT - _BOTTOM - count / top * (HEIGHT - _BOTTOM - _TOP), 2)

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{number(tick)}</text>'
        for tick in counts
    ]
    for place, (kept, dropped) in enumerate(zip(bars.kept, bars.dropped, strict=True)):
        left, right = x(bars.edges[place]), x(bars.edges[place + 1])
        words = f"{_interval(bars, place, unit)}: {_parts(kept, dropped, noun)}"
        shapes = [
            f'<rect class="{kind}" x="{left + 0.5:.2f}" y="{y(upper)}" width="{max(right - left - 1, 0.5):.2f}" '
            f'height="{round(y(lower) - y(upper), 2)}"/>'
            for kind, lower, upper in (("kept", 0, kept), ("dropped", kept, kept + dropped))
            if upper > lower
        ]
        parts.append(f"<g><title>{escape(words)}</title>{''.join(shapes)}</g>")
    base = HEIGHT - _BOTTOM
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    parts += [
        f'<text class="tick" x="{x(tick)}" y="{base + 15}" text-anchor="middle">{number(tick)}</text>'
        for tick in ticks(low, high, 5)
    ]
    # From the left, each word a line lower: no line runs through the word of another.
    seen = sorted((mark for mark in marks if low <= mark.value <= high), key=lambda mark: mark.value)
    parts += [_mark(mark, x(mark.value), place) for place, mark in enumerate(seen)]
    label = f"{axis}{f' [{unit}]' if unit else ''}"
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(label)}</text>')
    turned = (_TOP + base) / 2
    parts.append(
        f'<text class="label" transform="translate(11 {turned}) rotate(-90)" text-anchor="middle">{escape(noun)}</text>'
    )
    most = totals.index(top)
    said = f"{sum(totals):,} {noun} between {number(low)} and {number(high)}{_unit(unit)}; most often "
    said += f"{_interval(bars, most, unit)}: {_parts(bars.kept[most], bars.dropped[most], noun)}."
    return _svg(name, title, said, WIDTH, HEIGHT, "".join(parts))


def shares(name: str, title: str, rows: Sequence[tuple[str, float]], unit: str) -> str:
    """Horizontal bars with their values, largest as given; for seconds per stage and the like."""
    line, top = 26, max((value for _, value in rows), default=0.0) or 1.0
    height = line * len(rows) + 6
    parts = []
    for place, (text, value) in enumerate(rows):
        y, length = place * line + 4, round(value / top * 170, 2)
        parts.append(
            f'<text class="row" x="112" y="{y + 13}" text-anchor="end">{escape(text)}</text>'
            f'<rect class="kept" x="120" y="{y}" width="{max(length, 1.0)}" height="18" rx="2"/>'
            f'<text class="tick" x="{126 + length:.2f}" y="{y + 13}">{number(value)} {escape(unit)}</text>'
        )
    said = "; ".join(f"{text} {number(value)} {unit}" for text, value in rows)
    return _svg(name, title, said + ".", WIDTH, height, "".join(parts))


def _mark(mark: Mark, x: float, place: int) -> str:
    """A dashed line with its word above the bars, each on a line of its own."""
    top = 11 + 12 * place
    anchor, shift = ("end", -4) if x > WIDTH * 0.6 else ("start", 4)
    return (
        f'<line class="mark" x1="{x}" x2="{x}" y1="{top - 8}" y2="{HEIGHT - _BOTTOM}"/>'
        f'<text class="marked" x="{x + shift:.2f}" y="{top}" text-anchor="{anchor}">{escape(mark.text)}</text>'
    )


def _svg(name: str, title: str, said: str, width: int, height: int, inner: str) -> str:
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {width} {height}">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(said)}</desc>{inner}</svg>'
    )


def _interval(bars: Bars, place: int, unit: str) -> str:
    return f"{number(bars.edges[place])} to {number(bars.edges[place + 1])}{_unit(unit)}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _parts(kept: int, dropped: int, noun: str) -> str:
    return f"{kept:,} kept and {dropped:,} deselected {noun}" if dropped else f"{kept:,} {noun}"
