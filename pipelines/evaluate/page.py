"""The page of an evaluation: tables, every case with its videos in step, worst and best first; works from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.figures import FIGURES, OF_METHODS, OF_RUNS
from avatarkit.pipelines.pages import render

BINS = 16
CURVE_PX = 320, 72
MOST_POINTS = 160
CURVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "self": (("face_psnr_db", "psnr_db"), "PSNR over the frames"),
    "cross": (("mouth_apart",), "difference of the mouth's opening from the driver's over the frames"),
    "videos": (("mouth_apart",), "difference of the mouth's opening from the driver's over the frames"),
}
"""What is drawn over the frames of a case, by the kind of evaluation: the first of these that was measured."""


def page(results: Mapping[str, Any], folder: Path) -> str:
    """The page's HTML; videos are linked relative to `folder`, and load when they are looked at."""
    names = tables.columns(results)
    figures = [name for name in names if name not in (*OF_RUNS, *OF_METHODS)]
    curves = _curves(results)
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
        cases=[_case(clip, figures, folder, curves[clip["name"]]) for clip in results["clips"]],
        published=tables.published_lines(results),
        curve=CURVES[results["kind"]][1],
    )


def _case(
    clip: Mapping[str, Any], figures: Sequence[str], folder: Path, curves: Mapping[str, str]
) -> dict[str, Any]:
    """What a case shows: its own figures, and the curves of all methods on the same clip, its own last."""
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
        "curves": sorted(curves.items(), key=lambda item: item[0] == clip["method"]),
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


def _curves(results: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By clip and method the points of a curve over the frames, of one scale for each clip; "" for no curve."""
    names = CURVES[results["kind"]][0]
    values: dict[str, dict[str, list[float | None]]] = {}
    for clip in results["clips"]:
        rows = [next((row[name] for name in names if row.get(name) is not None), None) for row in clip["frames"]]
        values.setdefault(clip["name"], {})[clip["method"]] = rows
    curves = {}
    for name, methods in values.items():
        known = [value for rows in methods.values() for value in rows if value is not None]
        span = (min(known), max(known)) if known else (0.0, 0.0)
        curves[name] = {method: _points(rows, *span) for method, rows in methods.items()}
    return curves


def _points(values: Sequence[float | None], low: float, high: float) -> str:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    known = known[:: max(1, len(known) // MOST_POINTS)]
    across, down = CURVE_PX[0] / max(len(values) - 1, 1), (CURVE_PX[1] - 4) / ((high - low) or 1)
    return " ".join(f"{across * place:.1f},{CURVE_PX[1] - 2 - down * (value - low):.1f}" for place, value in known)
