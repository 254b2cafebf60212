"""The page of a dataset report: one HTML text that needs no network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import Any

from avatarkit.pipelines.data_report.charts import Mark, binned, histogram, number, shares
from avatarkit.pipelines.data_report.facts import MEASURES, STAGE_NAMES, Gathered, flat


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a stored clip: JPEG bytes and what stands below it."""

    clip_id: str
    jpeg: bytes
    caption: tuple[str, ...]


def page(content: Mapping[str, Any], found: Gathered, kept: Sequence[Thumbnail], dropped: Sequence[Thumbnail]) -> str:
    """The whole page.

    Args:
        content: the values of `facts.content`; every figure in words comes from there.
        found: the clips behind them, for the histograms.
        kept: pictures of selected clips, best first.
        dropped: pictures of stored clips that were not selected, best first.
    """
    dataset = content["dataset"]
    sections = [
        ("funnel", "From candidates to clips", _funnel(content)),
        ("measures", "What the clips are like", _measures(content, found)),
        ("people", "People and hours", _people(content, found)),
        ("failures", "Videos that could not be fetched", _failures(content)),
        ("sheets", "Contact sheets", _sheets(content, kept, dropped)),
        ("throughput", "Throughput", _throughput(content)),
        ("configuration", "Configuration", _configuration(content)),
    ]
    parts = [(name, title, inner) for name, title, inner in sections if inner]
    template = Template(_resource("page.html"))
    return template.substitute(
        title=escape(f"{dataset['name']}: dataset report"),
        style=_resource("page.css"),
        kind=escape(f"Dataset of {dataset['kind']}"),
        name=escape(dataset["name"]),
        lead=_lead(dataset),
        tiles=_tiles(content),
        links="".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in parts),
        sections="\n".join(f'<section id="{n}"><h2>{escape(title)}</h2>{inner}</section>' for n, title, inner in parts),
        footer=f"Written by avatarkit {escape(content['versions'].get('avatarkit', ''))}. The same figures are in the"
        " json file beside this page.",
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


def table(
    head: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    caption: str,
    *,
    foot: Sequence[str] = (),
    stacked: bool = False,
) -> str:
    """A table of escaped cells whose first column is a header.

    Args:
        head: titles and classes of the columns: "n" for numbers, "text" for what is long.
        rows, foot: the cells.
        caption: stands above it.
        stacked: whether a narrow screen shows each row as a block.
    """
    kinds = [f' class="{kind}"' if kind else "" for _, kind in head]
    columns = "".join(f'<th scope="col"{kind}>{escape(text)}</th>' for (text, _), kind in zip(head, kinds, strict=True))

    def line(cells: Sequence[str]) -> str:
        rest = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells[1:], kinds[1:], strict=True))
        return f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>'

    bottom = f"<tfoot>{line(foot)}</tfoot>" if foot else ""
    body = f"<thead><tr>{columns}</tr></thead><tbody>{''.join(map(line, rows))}</tbody>{bottom}"
    title = escape(caption)
    opening = f'<div class="wide" tabindex="0" role="group" aria-label="{title}">'
    kind = ' class="stack"' if stacked else ""
    return f"{opening}<table{kind}><caption>{title}</caption>{body}</table></div>"


def _lead(dataset: Mapping[str, Any]) -> str:
    size, shards = dataset["size_px"], dataset["shards"]
    text = f"Frames of {size} × {size} px in {shards:,} shard{'s' * (shards != 1)}, {gigabytes(dataset['bytes'])}."
    limits = {name: value for name, value in dataset["selection"].items() if name != "scorer" and value}
    rule = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in limits.items())
    text += f" Selection: {rule or 'all that was stored'}."
    return escape(text)


def _tiles(content: Mapping[str, Any]) -> str:
    totals, photos = content["totals"], content["dataset"]["kind"] == "photos"
    noun = "photos" if photos else "clips"
    tiles = [
        (f"{totals['kept']:,}", f"{noun} selected of {totals['stored']:,} stored"),
        (f"{totals['people']:,}", "people"),
    ]
    if not photos:
        tiles += [(duration(totals["hours"]), "of video"), (f"{totals['videos']:,}", "original videos")]
        tiles.append((f"{totals['frames']:,}", "frames"))
    share = totals["refused"] / totals["planned"] if totals["planned"] else 0.0
    tiles.append((f"{100 * share:.1f} %", f"refused, {totals['refused']:,} of {totals['planned']:,} candidates"))
    return "".join(f"<li><b>{escape(value)}</b><span>{escape(text)}</span></li>" for value, text in tiles)


def _funnel(content: Mapping[str, Any]) -> str:
    rows, top = content["funnel"], max(content["totals"]["planned"], 1)
    items = []
    for row in rows:
        out = row["entered"] - row["left"]
        kind = "low" if row["stage"] == "select" else "out"
        lost = f" <small>−{out:,}</small>" if out else ""
        track = (
            f'<div class="track" aria-hidden="true"><i style="width:{100 * row["left"] / top:.3f}%"></i>'
            f'<i class="{kind}" style="width:{100 * out / top:.3f}%"></i></div>'
        )
        why = "".join(_reason(reason) for reason in row["reasons"])
        count = f'<span class="count">{row["entered"]:,} → {row["left"]:,}{lost}</span>'
        why = f'<div class="why">{why}</div>' if why else ""
        items.append(f'<li class="stage"><h3>{STAGE_NAMES[row["stage"]]}</h3>{track}{count}{why}</li>')
    noun = "photo" if content["dataset"]["kind"] == "photos" else "clip or video"
    text = f"<p>How many candidates entered each stage and left it. Every {noun} that did not stay has a reason.</p>"
    return f'{text}<ol class="funnel card">{"".join(items)}</ol>{_problems(content["problems"])}'


def _reason(reason: Mapping[str, Any]) -> str:
    title = f'<code>{escape(reason["reason"])}</code><span class="n">{reason["count"]:,}</span>'
    if not reason["examples"]:
        return f"<div>{title}</div>"
    return f"<details><summary>{title}</summary>{_said(reason['examples'])}</details>"


def _said(examples: Sequence[Mapping[str, str]]) -> str:
    lines = "".join(f"<li><code>{escape(one['id'])}</code> {escape(one['detail'])}</li>" for one in examples)
    return f'<ul class="said">{lines}</ul>'


def _problems(problems: Mapping[str, Any]) -> str:
    if not problems["count"]:
        return ""
    lines = "".join(f"<li><code>{escape(text)}</code></li>" for text in problems["examples"])
    title = f"Lines of the metadata that could not be used: {problems['count']:,}"
    return f'<div class="why"><details><summary>{title}</summary><ul class="said">{lines}</ul></details></div>'


def _measures(content: Mapping[str, Any], found: Gathered) -> str:
    noun = "photos" if found.kind == "photos" else "clips"
    kept = [clip.clip_id in found.kept for clip in found.clips]
    cards = []
    for measure in MEASURES:
        figures = content["histograms"].get(measure.key)
        if figures is None or not figures["stored"]["count"]:
            continue
        wanted = content["configuration"].get("min_head_px") if measure.key == "head_px" else None
        bars = binned([measure.value(clip) for clip in found.clips], kept)
        median = figures["kept"]["median"]
        marks = [] if median is None else [Mark(median, f"median {number(median)}")]
        marks += [Mark(float(wanted), f"at least {wanted}")] if isinstance(wanted, int | float) and wanted else []
        chart = histogram(measure.key, measure.title, measure.axis, measure.unit, noun, bars, marks)
        scorer = content["tools"].get("scorer", "") if measure.key == "score" else ""
        title = f"{measure.title} ({scorer})" if scorer else measure.title
        cards.append(_card(title, f"{measure.note} {_range(figures, measure.unit)}", chart))
    parts = (("", "selected"), ("dropped", "stored, not selected"), ("mark", "median of the selected"))
    key = "".join(f'<li class="{kind}">{text}</li>' for kind, text in parts)
    return f'<ul class="key">{key}</ul><div class="charts">{"".join(cards)}</div>' if cards else ""


def _range(figures: Mapping[str, Any], unit: str) -> str:
    kept = figures["kept"]
    missing = f" Not measured: {figures['missing']:,}." if figures["missing"] else ""
    if not kept["count"]:
        return missing.strip()
    space = " " if unit and unit != "°" else ""
    return f"Nine in ten of the selected: {number(kept['p05'])} to {number(kept['p95'])}{space}{unit}.{missing}"


def _card(title: str, note: str, chart: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{chart}<p>{escape(note)}</p></div>'


def _people(content: Mapping[str, Any], found: Gathered) -> str:
    totals, photos = content["totals"], found.kind == "photos"
    noun = "Photos" if photos else "Clips"
    head = [("Split", ""), (f"{noun} stored", "n"), (f"{noun} selected", "n"), ("People", "n")]
    head += [] if photos else [("Videos", "n"), ("Length", "n"), ("Frames", "n")]

    def cells(row: Mapping[str, Any], name: str, stored: int) -> list[str]:
        first = [name, f"{stored:,}", f"{row['kept']:,}", f"{row['people']:,}"]
        return first if photos else [*first, f"{row['videos']:,}", duration(row["hours"]), f"{row['frames']:,}"]

    rows = [cells(row, escape(row["split"]), row["clips"]) for row in content["splits"]]
    shared = content["people"]["in_two_splits"]
    caption = "Per split; nobody is in two splits"
    if shared["count"]:
        caption = f"Per split; {shared['count']:,} people are in two splits, such as {', '.join(shared['examples'])}"
    text = table(head, rows, caption, foot=cells(totals, "all", totals["stored"]))
    spread = content["people"]["seconds"]
    if photos or not spread["count"]:
        return text
    seconds: dict[str, float] = {}
    for clip in found.clips:
        if clip.clip_id in found.kept:
            seconds[clip.identity] = seconds.get(clip.identity, 0.0) + clip.seconds
    values = [seconds[name] for name in sorted(seconds)]
    bars = binned(values, [True] * len(values))
    marks = [Mark(spread["median"], f"median {number(spread['median'])}")]
    chart = histogram("seconds", "Seconds per person", "length of all selected clips", "s", "people", bars, marks)
    note = f"From {number(spread['lowest'])} to {number(spread['highest'])} s."
    card = _card("Seconds per person", note, chart)
    return f'<div class="beside">{text}{card}</div>'


def _failures(content: Mapping[str, Any]) -> str:
    rows = content["failures"]
    if not rows:
        return ""
    total = sum(row["videos"] for row in rows)
    head = [
        ("Class", ""),
        ("Videos", "n"),
        ("Share", "n"),
        ("Next run", ""),
        ("Meaning and examples", "text"),
    ]
    lines = [
        [
            f"<code>{escape(row['class'])}</code>",
            f"{row['videos']:,}",
            f"{100 * row['videos'] / total:.1f} %",
            "tried again" if row["tried_again"] else "final",
            f"<details><summary>{escape(row['meaning'] or 'examples')}</summary>{_said(row['examples'])}</details>",
        ]
        for row in rows
    ]
    text = "<p>Classes that are tried again may yet succeed in a later run of the same command.</p>"
    return text + table(head, lines, f"{total:,} videos by class of failure", stacked=True)


def _sheets(content: Mapping[str, Any], kept: Sequence[Thumbnail], dropped: Sequence[Thumbnail]) -> str:
    if not kept and not dropped:
        return ""
    totals = content["totals"]
    deselected = totals["stored"] - totals["kept"]
    text = "Taken evenly from the best to the worst, the middle frame of each. What was refused earlier has no picture."
    parts = [f"<p>{text}</p>"]
    for title, ones, count, kind in (
        ("Selected", kept, totals["kept"], ""),
        ("Not selected", dropped, deselected, " low"),
    ):
        if ones:
            figures = "".join(map(_figure, ones))
            parts.append(
                f'<h3>{title} <small>{len(ones):,} of {count:,}</small></h3><div class="sheet{kind}">{figures}</div>'
            )
    return "".join(parts)


def _figure(one: Thumbnail) -> str:
    data = base64.b64encode(one.jpeg).decode("ascii")
    name = escape(one.clip_id)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="Frame of {name}" loading="lazy" decoding="async">'
        f'<figcaption><code title="{name}">{name}</code>{"<br>".join(map(escape, one.caption))}</figcaption></figure>'
    )


def _throughput(content: Mapping[str, Any]) -> str:
    figures = content["throughput"]
    if not figures:
        return ""
    rows = [[escape(name), escape(value)] for name, value in flat(figures["summary"])]
    cards = [f'<div class="wide"><table class="pairs words">{_pair_rows(rows)}</table></div>']
    if figures["seconds"]:
        stages = sorted(figures["seconds"].items(), key=lambda item: -item[1])
        unit, seconds = ("h", 3600) if stages[0][1] >= 3600 else ("min", 60) if stages[0][1] >= 60 else ("s", 1)
        chart = shares("busy", "Where the time went", [(name, value / seconds) for name, value in stages], unit)
        cards.append(_card("Where the time went", "Time of all workers together, over all runs.", chart))
    runs = ""
    if figures["runs"]:
        head = [("Begun (UTC)", ""), ("Engine", ""), ("Workers", "n"), ("Length", "n"), ("Ended", "")]
        lines = [
            [
                escape(run["begun"]),
                escape(run["engine"]),
                f"{run['workers']:,}",
                duration(run["hours"]),
                escape(run["outcome"]),
            ]
            for run in figures["runs"]
        ]
        runs = f'<div style="margin-top:.9rem">{table(head, lines, "Runs")}</div>'
    return f'<div class="two">{"".join(cards)}</div>{runs}'


def _configuration(content: Mapping[str, Any]) -> str:
    hashes = {name: value for name, value in content["dataset"].items() if name.endswith("_hash")}
    groups = [("Settings", content["configuration"]), ("Models and tools", content["tools"])]
    groups += [("Versions", content["versions"]), ("Hashes", hashes)]
    cards = []
    for title, values in groups:
        rows = [[escape(name), escape(value)] for name, value in flat(values)]
        if rows:
            cards.append(
                f'<div class="wide"><table class="pairs"><caption>{title}</caption>{_pair_rows(rows)}</table></div>'
            )
    return f'<div class="two">{"".join(cards)}</div>'


def _pair_rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)


def _resource(name: str) -> str:
    return resources.files("avatarkit.pipelines.data_report").joinpath(name).read_text(encoding="utf-8")
