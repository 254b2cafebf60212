"""The page of a dataset report: one HTML text that needs no network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from avatarkit.pipelines.data_report.charts import Mark, binned, histogram, number, shares
from avatarkit.pipelines.data_report.facts import MEASURES, STAGE_NAMES, Gathered, Measure, flat
from avatarkit.pipelines.pages import render

Card = tuple[str, str, Markup]
"""Title, note and chart."""

_TITLES = {
    "funnel": "From candidates to clips",
    "measures": "What the clips are like",
    "people": "People and hours",
    "failures": "Videos that could not be fetched",
    "sheets": "Contact sheets",
    "throughput": "Throughput",
    "configuration": "Configuration",
}
"""Sections of the page in their order; one without content is left out."""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a stored clip: JPEG bytes and what stands below it."""

    clip_id: str
    jpeg: bytes
    caption: tuple[str, ...]

    @property
    def data(self) -> str:
        """The picture as text."""
        return base64.b64encode(self.jpeg).decode("ascii")


def page(content: Mapping[str, Any], found: Gathered, kept: Sequence[Thumbnail], dropped: Sequence[Thumbnail]) -> str:
    """The whole page.

    Args:
        content: the values of `facts.content`; every figure in words comes from there.
        found: the clips behind them, for the histograms.
        kept: pictures of selected clips, best first.
        dropped: pictures of stored clips that were not selected, best first.
    """
    values: dict[str, Any] = {
        "funnel": list(_funnel(content)),
        "measures": list(_measures(content, found)),
        "people": _people(content, found),
        "failures": _failures(content),
        "sheets": _sheets(content, kept, dropped),
        "throughput": _throughput(content),
        "configuration": _configuration(content),
    }
    return render(
        "avatarkit.pipelines.data_report",
        "page.html",
        **values,
        sections=[(name, title) for name, title in _TITLES.items() if values[name]],
        dataset=content["dataset"],
        lead=_lead(content["dataset"]),
        tiles=_tiles(content),
        candidate="photo" if content["dataset"]["kind"] == "photos" else "clip or video",
        problems=content["problems"],
        version=content["versions"].get("avatarkit", ""),
    )


def gigabytes(count: float) -> str:
    """Bytes to read: "1.23 GB", "45 MB", "12 kB" (powers of 1,000)."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{number(count / size)} {unit}"
    return f"{count:,.0f} bytes"


def duration(hours: float) -> str:
    """Hours to read: "12.3 h", "25 min", "40 s"."""
    if hours >= 1:
        return f"{number(hours)} h"
    return f"{number(hours * 60)} min" if hours >= 1 / 60 else f"{number(hours * 3600, 0)} s"


def _lead(dataset: Mapping[str, Any]) -> str:
    size, shards = dataset["size_px"], dataset["shards"]
    text = f"Frames of {size} × {size} px in {shards:,} shard{'s' * (shards != 1)}, {gigabytes(dataset['bytes'])}."
    limits = {name: value for name, value in dataset["selection"].items() if name != "scorer" and value}
    rule = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in limits.items())
    return f"{text} Selection: {rule or 'all that was stored'}."


def _tiles(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    totals, photos = content["totals"], content["dataset"]["kind"] == "photos"
    noun = "photos" if photos else "clips"
    tiles = [
        (f"{totals['kept']:,}", f"{noun} selected of {totals['stored']:,} stored"),
        (f"{totals['people']:,}", "people"),
    ]
    if not photos:
        tiles += [(duration(totals["hours"]), "of video"), (f"{totals['videos']:,}", "original videos")]
        tiles.append((f"{totals['frames']:,}", "frames"))
    copies = content["duplicates"]
    if copies["left_out"] or copies["alike"]:
        beside = f"{copies['alike']:,} kept beside one that looks the same"
        tiles.append((f"{copies['left_out']:,}", f"copies left out; {beside}"))
    share = totals["refused"] / totals["planned"] if totals["planned"] else 0.0
    tiles.append((f"{100 * share:.1f} %", f"refused, {totals['refused']:,} of {totals['planned']:,} candidates"))
    return tiles


def _funnel(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    top = max(content["totals"]["planned"], 1)
    for row in content["funnel"]:
        out = row["entered"] - row["left"]
        yield {
            **row,
            "out": out,
            "title": STAGE_NAMES[row["stage"]],
            "kind": "low" if row["stage"] == "select" else "out",
            "left_percent": 100 * row["left"] / top,
            "out_percent": 100 * out / top,
        }


def _measures(content: Mapping[str, Any], found: Gathered) -> Iterator[Card]:
    kept = [clip.clip_id in found.kept for clip in found.clips]
    for measure in MEASURES:
        figures = content["histograms"].get(measure.key)
        if figures is not None and figures["stored"]["count"]:
            yield _measure(measure, figures, content, found, kept)


def _measure(
    measure: Measure, figures: Mapping[str, Any], content: Mapping[str, Any], found: Gathered, kept: list[bool]
) -> Card:
    noun = "photos" if found.kind == "photos" else "clips"
    wanted = content["configuration"].get("min_head_px") if measure.key == "head_px" else None
    bars = binned([measure.value(clip) for clip in found.clips], kept)
    median = figures["kept"]["median"]
    marks = [] if median is None else [Mark(median, f"median {number(median)}")]
    marks += [Mark(float(wanted), f"at least {wanted}")] if isinstance(wanted, int | float) and wanted else []
    chart = histogram(measure.key, measure.title, measure.axis, measure.unit, noun, bars, marks)
    scorer = content["tools"].get("scorer", "") if measure.key == "score" else ""
    title = f"{measure.title} ({scorer})" if scorer else measure.title
    return title, f"{measure.note} {_range(figures, measure.unit)}", Markup(chart)


def _range(figures: Mapping[str, Any], unit: str) -> str:
    kept = figures["kept"]
    missing = f" Not measured: {figures['missing']:,}." if figures["missing"] else ""
    if not kept["count"]:
        return missing.strip()
    space = " " if unit and unit != "°" else ""
    return f"Nine in ten of the selected: {number(kept['p05'])} to {number(kept['p95'])}{space}{unit}.{missing}"


def _people(content: Mapping[str, Any], found: Gathered) -> dict[str, Any]:
    totals, photos = content["totals"], found.kind == "photos"
    noun = "Photos" if photos else "Clips"
    columns = [("Split", ""), (f"{noun} stored", "n"), (f"{noun} selected", "n"), ("People", "n")]
    columns += [] if photos else [("Videos", "n"), ("Length", "n"), ("Frames", "n")]

    def cells(row: Mapping[str, Any], name: str, stored: int) -> list[str]:
        first = [name, f"{stored:,}", f"{row['kept']:,}", f"{row['people']:,}"]
        return first if photos else [*first, f"{row['videos']:,}", duration(row["hours"]), f"{row['frames']:,}"]

    shared = content["people"]["in_two_splits"]
    caption = "Per split; nobody is in two splits"
    if shared["count"]:
        who = "1 person is" if shared["count"] == 1 else f"{shared['count']:,} people are"
        caption = f"Per split; {who} in two splits, such as {', '.join(shared['examples'])}"
    return {
        "columns": columns,
        "rows": [cells(row, row["split"], row["clips"]) for row in content["splits"]],
        "foot": cells(totals, "all", totals["stored"]),
        "caption": caption,
        "chart": None if photos else _seconds_per_person(content["people"]["seconds"], found),
    }


def _seconds_per_person(spread: Mapping[str, Any], found: Gathered) -> Card | None:
    if not spread["count"]:
        return None
    seconds: dict[str, float] = {}
    for clip in found.clips:
        if clip.clip_id in found.kept:
            seconds[clip.identity] = seconds.get(clip.identity, 0.0) + clip.seconds
    values = [seconds[name] for name in sorted(seconds)]
    bars = binned(values, [True] * len(values))
    marks = [Mark(spread["median"], f"median {number(spread['median'])}")]
    chart = histogram("seconds", "Seconds per person", "length of all selected clips", "s", "people", bars, marks)
    note = f"From {number(spread['lowest'])} to {number(spread['highest'])} s."
    return "Seconds per person", note, Markup(chart)


def _failures(content: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = content["failures"]
    if not rows:
        return None
    total = sum(row["videos"] for row in rows)
    columns = [("Class", ""), ("Videos", "n"), ("Share", "n"), ("Next run", ""), ("Meaning and examples", "text")]
    return {"columns": columns, "rows": rows, "total": total, "caption": f"{total:,} videos by class of failure"}


def _sheets(
    content: Mapping[str, Any], kept: Sequence[Thumbnail], dropped: Sequence[Thumbnail]
) -> list[dict[str, Any]]:
    totals = content["totals"]
    sheets = (
        {"title": "Selected", "pictures": kept, "count": totals["kept"], "kind": ""},
        {"title": "Not selected", "pictures": dropped, "count": totals["stored"] - totals["kept"], "kind": " low"},
    )
    return [sheet for sheet in sheets if sheet["pictures"]]


def _throughput(content: Mapping[str, Any]) -> dict[str, Any] | None:
    figures = content["throughput"]
    if not figures:
        return None
    chart: Card | None = None
    if figures["seconds"]:
        stages = sorted(figures["seconds"].items(), key=lambda item: -item[1])
        unit, seconds = ("h", 3600) if stages[0][1] >= 3600 else ("min", 60) if stages[0][1] >= 60 else ("s", 1)
        bars = shares("busy", "Where the time went", [(name, value / seconds) for name, value in stages], unit)
        chart = "Where the time went", "Time of all workers together, over all runs.", Markup(bars)
    return {
        "summary": list(flat(figures["summary"])),
        "chart": chart,
        "columns": [("Begun (UTC)", ""), ("Engine", ""), ("Workers", "n"), ("Length", "n"), ("Ended", "")],
        "runs": [
            [run["begun"], run["engine"], f"{run['workers']:,}", duration(run["hours"]), run["outcome"]]
            for run in figures["runs"]
        ],
    }


def _configuration(content: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    hashes = {name: value for name, value in content["dataset"].items() if name.endswith("_hash")}
    groups = [("Settings", content["configuration"]), ("Models and tools", content["tools"])]
    groups += [("Versions", content["versions"]), ("Hashes", hashes)]
    tables = [(title, list(flat(values))) for title, values in groups]
    return [(title, rows) for title, rows in tables if rows]
