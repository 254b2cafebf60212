"""`avatarkit data`: look at a finished dataset, check it, choose from it, take it elsewhere, take people out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.cli.console import Console
from avatarkit.errors import InputError
from avatarkit.runtime import counted

DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder made by avatarkit prepare-data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")]
SplitOption = Annotated[
    Literal["train", "val", "test"] | None, typer.Option("--split", show_default="all", help="Only this split.")
]


def info(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Print clips, people, hours and sizes by split, and what made the dataset."""
    from avatarkit.pipelines.data import info as dataset_info

    with Console() as console:
        result = dataset_info(dataset)
        if as_json:
            console.json(result.to_json())
            return
        console.table(result.rows())
        console.summary(result.lines())


def verify(
    dataset: DatasetArgument,
    quick: Annotated[bool, typer.Option("--quick", help="Hashes and tables only: decode no frame.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check hashes, tables and every frame; each problem is one line, and exit code 3 says that there are some."""
    from avatarkit.pipelines.data import verify as verify_dataset

    with Console(quiet=quiet) as console:
        report = verify_dataset(dataset, quick=quick, progress=console)
        if as_json:
            console.json(report.to_json())
        else:
            console.table([(problem,) for problem in report.problems])
            console.summary([report.line()])
    if report.problems:
        raise InputError(
            f"{dataset}: {counted(len(report.problems), 'problems')};"
            " prepare the data again, or copy the damaged files again"
        )


def report(
    dataset: DatasetArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT.html", show_default="report.html in DATASET", help="The page."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write one page about the dataset, and its figures as json beside it."""
    from avatarkit.pipelines.data_report.report import report as write_report

    with Console(quiet=quiet) as console:
        console.summary(write_report(dataset, output, console).summary_lines())


def reselect(
    dataset: DatasetArgument,
    keep_top: Annotated[
        float | None, typer.Option("--keep-top", metavar="SHARE", help="Best share of each split by score, 0 to 1.")
    ] = None,
    min_score: Annotated[float | None, typer.Option("--min-score", help="Least score, in the scorer's unit.")] = None,
    min_head_px: Annotated[float | None, typer.Option("--min-head-px", help="Least head side in the original.")] = None,
    min_effective_px: Annotated[
        float | None, typer.Option("--min-effective-px", help="The same after what enlargement and blur have taken.")
    ] = None,
    min_sharpness: Annotated[float | None, typer.Option("--min-sharpness", help="Least built-in sharpness.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Choose the clips that training uses anew, by what is stored: no frame is decoded. No option keeps all."""
    from avatarkit.data.select import SelectionRule
    from avatarkit.data.select import reselect as select_again

    rule = SelectionRule(keep_top, min_score, min_head_px, min_effective_px, min_sharpness)
    with Console(quiet=quiet) as console:
        chosen = select_again(dataset, rule)
        if as_json:
            console.json(chosen.to_json())
        else:
            console.summary(chosen.summary_lines())


def export(
    dataset: DatasetArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="New folder, or a file for csv.")],
    form: Annotated[
        Literal["webdataset", "folder", "csv"],
        typer.Option("--format", help="Tar files of samples, a folder per clip, or a table without pixels."),
    ],
    split: SplitOption = None,
    every: Annotated[bool, typer.Option("--all/--selected", help="All clips, or those that are selected.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file; a folder is never replaced.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write the clips in a form that other programs read; OUT appears when it is complete."""
    from avatarkit.pipelines.data import export as export_dataset
    from avatarkit.pipelines.data import size_text

    with Console(quiet=quiet) as console:
        done = export_dataset(
            dataset, form, output, split=split, selected=not every, overwrite=overwrite, progress=console
        )
        held = f"{counted(done.clips, 'clips')}, {counted(done.frames, 'frames')}, {size_text(done.bytes)}"
        console.summary([f"{output}: {held}"])


def remove(
    dataset: DatasetArgument,
    people: Annotated[
        list[str] | None, typer.Option("--person", metavar="ID", help="Everything of this person; may be repeated.")
    ] = None,
    videos: Annotated[
        list[str] | None, typer.Option("--video", metavar="ID", help="All clips of this original; may be repeated.")
    ] = None,
    clips: Annotated[list[str] | None, typer.Option("--clip", metavar="ID", help="This clip; may be repeated.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Remove people, originals or clips for good; the same command finishes what was cut off."""
    from avatarkit.pipelines.data import remove as remove_clips

    with Console(quiet=quiet) as console:
        done = remove_clips(dataset, people=people or (), videos=videos or (), clips=clips or (), progress=console)
        again = " (an earlier removal was finished)" if done.finished else ""
        gone = f"{counted(done.clips, 'clips')} with {counted(done.frames, 'frames')}"
        console.summary([f"{gone} removed from {counted(done.shards, 'shards')}{again}"])
        console.notice("reports and exports made before may still show them; models trained before have seen them")
