"""The page of an evaluation: tables, every case with its videos in step, worst and best first; works from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.figures import FIGURES, OF_RUNS, OF_SETS
from avatarkit.pipelines.pages import render

BINS = 16
SPARK = 160, 36
MOST_POINTS = 80


def page(results: Mapping[str, Any], folder: Path) -> str:
    """The page's HTML; videos are linked relative to `folder`, and load when they are looked at."""
    names = tables.columns(results)
    figures = [name for name in names if name not in (*OF_RUNS, *OF_SETS)]
    return render(
        "avatarkit.pipelines.evaluate",
        "page.html",
        results=results,
        title=f"{results['kind']}-reenactment at {results['options']['size']} px",
        columns=[(name, FIGURES[name]) for name in names],
        rows=[
            (method, values, [(tables.cell(results, method, x), tables.best(results, x) == method) for x in names])
            for method, values in results["methods"].items()
        ],
        tests=[test for test in results["tests"] if test["p"] is not None and test["p"] < 0.05],
        figures=[(name, FIGURES[name]) for name in figures],
        histograms=[(FIGURES[name].title, _histogram(results, name)) for name in figures],
        cases=[_case(clip, figures, folder) for clip in results["clips"]],
    )


def _case(clip: Mapping[str, Any], figures: Sequence[str], folder: Path) -> dict[str, Any]:
    values = {name: clip["figures"].get(name) for name in figures}
    return {
        **clip,
        "values": values,
        "shown": [
            (FIGURES[name].title, "–" if value is None else f"{value:.{FIGURES[name].digits}f}")
            for name, value in values.items()
        ],
        "media": [
            (what, _link(clip[what], folder), what == "source")
            for what in ("source", "driver", "output")
            if clip.get(what)
        ],
        "spark": _spark([row.get("face_psnr_db", row.get("psnr_db")) for row in clip["frames"]]),
    }


def _link(path: str, folder: Path) -> str:
    """An address relative to the page."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        relative = path
    return quote(os.fsencode(Path(relative).as_posix()))


def _histogram(results: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Bars of each method's clips over one shared range, heights as percentages of the tallest."""
    values = {
        method: [
            clip["figures"][name]
            for clip in results["clips"]
            if clip["method"] == method and clip["figures"].get(name) is not None
        ]
        for method in results["methods"]
    }
    every = [value for own in values.values() for value in own]
    low, high = (min(every), max(every)) if every else (0.0, 0.0)
    width = (high - low) / BINS or 1.0
    counts = {
        method: [sum(min(BINS - 1, int((value - low) / width)) == place for value in own) for place in range(BINS)]
        for method, own in values.items()
    }
    tallest = max((max(own) for own in counts.values()), default=1) or 1
    return [
        {"method": method, "bars": [round(100 * count / tallest) for count in own], "low": low, "high": high}
        for method, own in counts.items()
    ]


def _spark(values: Sequence[float | None]) -> str:
    """Points of a small curve over the frames; "" without any."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    known = known[:: max(1, len(known) // MOST_POINTS)]
    low, high = min(value for _, value in known), max(value for _, value in known)
    across, down = SPARK[0] / max(len(values) - 1, 1), (SPARK[1] - 4) / ((high - low) or 1)
    return " ".join(f"{across * place:.1f},{SPARK[1] - 2 - down * (value - low):.1f}" for place, value in known)
