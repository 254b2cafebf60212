"""What can be done with a finished dataset: look at it, check it, take it elsewhere, take people out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_whole
from avatarkit.data.clip import SPLITS, ClipInfo, Split
from avatarkit.data.dataset import Dataset
from avatarkit.data.export import Exported, ExportFormat
from avatarkit.data.export import export as export_clips
from avatarkit.data.marks import Removed, read_removed
from avatarkit.data.remove import Removal
from avatarkit.data.remove import remove as remove_clips
from avatarkit.data.verify import verify as problems_of
from avatarkit.errors import UsageError
from avatarkit.pipelines.prepare.finish import ATTRIBUTION, attribution
from avatarkit.runtime import Progress, counted

Row = tuple[str, ...]


@dataclass(frozen=True)
class SplitInfo:
    """One split: clips, those selected, people, frames, hours (0 for photos), bytes of its shards, refused clips."""

    split: Split
    shards: int
    clips: int
    selected: int
    people: int
    frames: int
    hours: float
    bytes: int
    rejected: int


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset at a glance. `rule`: of the selection, None where all clips are selected. `removed`: how many people,
    originals and clips were taken out.
    """

    path: str
    sha256: str
    kind: str
    size: int
    format_version: int
    plan_hash: str
    config_hash: str
    tools: dict[str, str]
    rule: dict[str, Any] | None
    removed: dict[str, int]
    splits: tuple[SplitInfo, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def rows(self) -> list[Row]:
        """A table of the splits with a heading."""
        heading = ("split", "shards", "clips", "selected", "people", "frames", "hours", "size", "refused")
        return [heading, *(_row(split) for split in self.splits)]

    def lines(self) -> list[str]:
        """What the table does not say."""
        rule = ", ".join(f"{name} {value}" for name, value in (self.rule or {}).items() if name != "scorer")
        taken_out = ", ".join(f"{count} {name}" for name, count in self.removed.items() if count)
        lines = [
            f"{self.kind} of {self.size} px, format version {self.format_version}, sha256 {self.sha256[:16]}",
            f"selection: {rule or ('all clips' if self.rule is None else 'as listed')}",
        ]
        if taken_out:
            lines.append(f"removed: {taken_out}")
        if self.tools:
            lines.append("made with " + ", ".join(f"{name} {version}" for name, version in self.tools.items()))
        return lines


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` looked at, and its problems, one line each."""

    path: str
    quick: bool
    shards: int
    clips: int
    frames: int
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def line(self) -> str:
        """What was found, in one line."""
        what = f"{counted(self.shards, 'shards')}, {counted(self.clips, 'clips')}, {counted(self.frames, 'frames')}"
        depth = "hashes and tables" if self.quick else "hashes, tables and every frame"
        result = counted(len(self.problems), "problems") if self.problems else "all is well"
        return f"{what}: {depth} checked, {result}"


def info(path: Path) -> DatasetInfo:
    """Totals of a dataset. Raises InputError where it cannot be opened."""
    from avatarkit.data.manifest import VERSION

    dataset = Dataset.open(path)
    manifest, removed = dataset.manifest, read_removed(path)
    kept = {entry.info.clip_id for entry in dataset.entries()}
    return DatasetInfo(
        path=str(path),
        sha256=dataset.hash,
        kind=manifest.kind,
        size=manifest.size,
        format_version=VERSION,
        plan_hash=manifest.plan_hash,
        config_hash=manifest.config_hash,
        tools=manifest.tools,
        rule=dataset.selection.rule if dataset.selection else None,
        removed={name: len(getattr(removed, name)) for name in ("people", "videos", "clips")},
        splits=tuple(_split_info(dataset, split, kept) for split in SPLITS if split in manifest.totals),
    )


def verify(path: Path, *, quick: bool = False, progress: Progress | None = None) -> VerifyReport:
    """Check a dataset; see `avatarkit.data.verify`."""
    from avatarkit.data.manifest import read_manifest

    problems = tuple(problems_of(path, quick=quick, progress=progress))
    shards = read_manifest(path).shards
    return VerifyReport(
        path=str(path),
        quick=quick,
        shards=len(shards),
        clips=sum(entry.clips for entry in shards),
        frames=sum(entry.frames for entry in shards),
        problems=problems,
    )


def export(
    path: Path,
    form: ExportFormat,
    out: Path,
    *,
    split: Split | None = None,
    selected: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a dataset in another form; see `avatarkit.data.export`."""
    if overwrite and form != "csv":
        raise UsageError(f"--overwrite: is for --format csv; a folder of {form} is never replaced")
    dataset = Dataset.open(path)
    return export_clips(dataset, form, out, split=split, selected=selected, overwrite=overwrite, progress=progress)


def remove(
    path: Path,
    *,
    people: Sequence[str] = (),
    videos: Sequence[str] = (),
    clips: Sequence[str] = (),
    progress: Progress | None = None,
) -> Removal:
    """Take people, originals and clips out of a dataset for good; see `avatarkit.data.remove`.

    The table of authors, where there is one, is written anew.
    """
    if not (people or videos or clips):
        raise UsageError("nothing to remove: give --person, --video or --clip")
    wanted = Removed(frozenset(people), frozenset(videos), frozenset(clips))
    done = remove_clips(path, wanted, progress)
    table = path / ATTRIBUTION
    if table.exists():
        text = attribution(Dataset.open(path).clips(selected=False))
        write_whole(table, text.encode("utf-8", "backslashreplace"))
    return done


def _split_info(dataset: Dataset, split: Split, kept: set[str]) -> SplitInfo:
    totals = dataset.manifest.totals[split]
    infos: list[ClipInfo] = dataset.clips(split, selected=False)
    return SplitInfo(
        split=split,
        shards=len(dataset.shards(split)),
        clips=totals.clips,
        selected=sum(info.clip_id in kept for info in infos),
        people=totals.people,
        frames=totals.frames,
        hours=round(totals.seconds / 3600.0, 4),
        bytes=totals.bytes,
        rejected=totals.rejected,
    )


def _row(split: SplitInfo) -> Row:
    counts = (split.shards, split.clips, split.selected, split.people, split.frames)
    return (split.split, *map(str, counts), f"{split.hours:.2f}", size_text(split.bytes), str(split.rejected))


def size_text(count: int) -> str:
    """Bytes as people read them, such as 256.0 MB."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000.0 or unit == "TB":
            break
        size /= 1000.0
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
