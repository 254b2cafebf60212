"""`avatarkit evaluate study`: which of two methods people prefer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console

_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")]


def build(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="Of evaluate cross or compare, two methods.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="New folder for the page and its key.")],
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="motion|identity", show_default="both", help="What is asked; may be repeated."),
    ] = None,
    items: Annotated[int, typer.Option(min=1, metavar="N", help="Pairs at most, drawn by the seed.")] = 40,
    controls: Annotated[int, typer.Option(min=0, metavar="N", help="Pairs whose right answer is known.")] = 4,
    seed: Annotated[int, typer.Option(help="Draws pairs, names and order.")] = 0,
    quiet: _QUIET = False,
) -> None:
    """Make a page that shows a driver or a source and two outputs, and asks which one is better."""
    from avatarkit.pipelines.study.build import QUESTIONS, StudyConfig
    from avatarkit.pipelines.study.build import build as built

    config = StudyConfig(results, output, tuple(question or QUESTIONS), items, controls, seed)
    with Console(quiet=quiet) as console:
        console.summary(built(config).summary_lines())


def read(
    key: Annotated[Path, typer.Argument(metavar="KEY.json", help="Of the study.")],
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS.json ...", help="Files that people gave back.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    quiet: _QUIET = False,
) -> None:
    """Sum up the answers: shares with intervals, agreement, and whose answers are not counted."""
    from avatarkit.pipelines.study.read import read as summed

    result = summed(key, answers)
    with Console(quiet=quiet) as console:
        if as_json:
            console.json(result.to_json())
        else:
            console.summary(result.summary_lines())
