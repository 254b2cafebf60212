"""Report on a dataset: one HTML page that needs nothing beside it, and the same figures as json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_whole
from avatarkit.data.dataset import Dataset, Entry
from avatarkit.data.ledger import FILE as LEDGER_FILE
from avatarkit.data.marks import read_removed
from avatarkit.data.pictures import Pixels, decode_image, encode_image, reduction, resize
from avatarkit.data.plan import ALIKE
from avatarkit.data.plan import FILE as PLAN_FILE
from avatarkit.data.plan_file import read_plan
from avatarkit.data.shard import read_stats
from avatarkit.errors import OutputError
from avatarkit.media.output import check_distinct, check_not_ours
from avatarkit.pipelines.data_report.charts import number
from avatarkit.pipelines.data_report.facts import Gathered, content, why_not
from avatarkit.pipelines.data_report.ledger import throughput
from avatarkit.pipelines.data_report.page import Thumbnail, page
from avatarkit.pipelines.pages import check_own
from avatarkit.runtime import NullProgress, Progress, versions

MARK = ": dataset report</title>"
THUMBNAILS = 24
"""Pictures in each of the two contact sheets."""

THUMBNAIL_PX = 144
SHEETS_BYTES = 1_100_000
"""The pictures of both sheets together, as JPEG; in the page they take a third more."""


@dataclass(frozen=True)
class DataReport:
    """What was found in a dataset, and where it was written."""

    content: dict[str, Any]
    html_path: Path
    json_path: Path

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return self.content

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        totals, dataset = self.content["totals"], self.content["dataset"]
        photos = dataset["kind"] == "photos"
        noun = "photos" if photos else "clips"
        length = "" if photos else f", {number(totals['hours'])} h of video"
        lines = [
            f"{dataset['name']}: {totals['kept']:,} {noun} selected of {totals['stored']:,} stored,"
            f" {totals['people']:,} people{length}"
        ]
        if totals["refused"]:
            reasons = [
                (reason["count"], f"{row['stage']}: {reason['reason']}")
                for row in self.content["funnel"]
                if row["stage"] != "select"
                for reason in row["reasons"]
            ]
            first = ", ".join(
                f"{count:,} {text}" for count, text in sorted(reasons, key=lambda one: (-one[0], one[1]))[:3]
            )
            lines.append(f"refused {totals['refused']:,} of {totals['planned']:,}: {first}")
        lines.append(f"page: {self.html_path}, figures: {self.json_path}")
        return lines


def report(dataset: Path, out: Path | None = None, progress: Progress | None = None) -> DataReport:
    """Write a page about a dataset, and beside it the figures as json. The same dataset gives the same bytes.

    Args:
        dataset: the dataset's folder.
        out: the page, with the suffix .html; report.html in the dataset's folder if None. The json has its name.
        progress: told the pictures drawn.

    Raises:
        InputError: no such dataset, not finished, or damaged.
        OutputError: the page has another suffix or cannot be written.
    """
    folder, progress = Path(dataset), progress or NullProgress()
    html_path = Path(out) if out is not None else folder / "report.html"
    if html_path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{html_path}: the report is an HTML page; give it a name that ends with .html")
    json_path = html_path.with_suffix(".json")
    for path in (html_path, json_path):
        check_distinct(path, [folder])
        check_not_ours(path)
    advice = "no report of a dataset; choose another name with -o"
    check_own(html_path, MARK, advice)
    check_own(json_path, '"format": "avatarkit-data-report"', advice)
    opened = Dataset.open(folder)
    result = _gather(opened)
    figures = content(result)
    kept, dropped = _sheets(opened, result, progress)
    _write(json_path, json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(html_path, page(figures, result, kept, dropped))
    return DataReport(figures, html_path, json_path)


def _gather(dataset: Dataset) -> Gathered:
    manifest, selection, folder = dataset.manifest, dataset.selection, dataset.folder
    clips = tuple(dataset.clips(selected=False))
    kept = selection.clips if selection is not None else frozenset(clip.clip_id for clip in clips)
    stats = [read_stats(folder, shard.name) for shard in manifest.shards]
    rejected = [entry for shard in stats if shard is not None for entry in shard.rejected]
    problems: list[str] = []
    alike = 0
    if (folder / PLAN_FILE).is_file():
        plan, removed = read_plan(folder), read_removed(folder)
        rejected += [entry for entry in plan.rejected() if not removed.covers(entry)]
        alike = sum(ALIKE in dict(item.notes) for item in plan.items())
        problems = [f"{entry.file}:{entry.line}: {entry.what}" for entry in plan.problems]
    scores: dict[str, float] = {}
    for clip in clips:
        if clip.clip_id in kept and math.isfinite(clip.score):
            scores[clip.split] = min(clip.score, scores.get(clip.split, math.inf))
    return Gathered(
        name=folder.resolve().name,
        kind=manifest.kind,
        size=manifest.size,
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
        clips=clips,
        kept=kept,
        rejected=tuple(rejected),
        problems=tuple(problems),
        alike=alike,
        rule=selection.rule if selection is not None else {},
        threshold=scores,
        config=manifest.config,
        tools=manifest.tools,
        versions=versions(),
        hashes={"manifest": dataset.hash, "plan": manifest.plan_hash, "config": manifest.config_hash},
        ledger=throughput(folder / LEDGER_FILE),
    )


def _sheets(dataset: Dataset, found: Gathered, progress: Progress) -> tuple[list[Thumbnail], list[Thumbnail]]:
    """Pictures of selected and of other clips, evenly from the best to the worst."""
    ranked = sorted(dataset.entries(selected=False), key=_rank)
    groups = [[entry for entry in ranked if (entry.info.clip_id in found.kept) == kept] for kept in (True, False)]
    chosen = [spread(group, THUMBNAILS) for group in groups]
    progress.stage("contact sheets", sum(map(len, chosen)), "pictures")
    limit = SHEETS_BYTES // max(1, sum(map(len, chosen)))
    sheets: tuple[list[Thumbnail], list[Thumbnail]] = ([], [])
    for sheet, group in zip(sheets, chosen, strict=True):
        for entry in group:
            sheet.append(_thumbnail(dataset, entry, found, limit))
            progress.advance()
    return sheets


def spread(entries: Sequence[Entry], count: int) -> list[Entry]:
    """At most `count` of them, first and last included, evenly between."""
    if len(entries) <= count:
        return list(entries)
    return [entries[round(place * (len(entries) - 1) / (count - 1))] for place in range(count)]


def _rank(entry: Entry) -> tuple[float, str]:
    score = entry.info.score
    return (-score if math.isfinite(score) else math.inf, entry.info.clip_id)


def _thumbnail(dataset: Dataset, entry: Entry, found: Gathered, limit: int) -> Thumbnail:
    reader, clip = dataset.reader(entry.shard), entry.info
    frame = entry.first_frame + clip.frames // 2
    data = reader.image_bytes(frame)
    picture = decode_image(data, f"{entry.shard}: frame {frame}", reduce=reduction(found.size, THUMBNAIL_PX))
    caption = [f"score {number(clip.score)}" if math.isfinite(clip.score) else "no score"]
    if clip.clip_id not in found.kept:
        reason, lowest = why_not(clip, found.rule), found.threshold.get(clip.split)
        if lowest is not None and reason == "below-the-top-share":
            caption.append(f"below {number(lowest)}")
        elif reason != "no-score":
            caption.append(reason.replace("-", " "))
    caption.append(f"head {number(clip.head_px, 0)} px")
    return Thumbnail(clip.clip_id, _jpeg(resize(picture, THUMBNAIL_PX), limit), tuple(caption))


def _jpeg(picture: Pixels, limit: int) -> bytes:
    """JPEG of at most `limit` bytes if any quality gives that."""
    data = b""
    for quality in (78, 60, 40, 25):
        data = encode_image(picture, "jpeg", quality, full_colour=False)
        if len(data) <= limit:
            break
    return data


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place with -o"
        ) from error
