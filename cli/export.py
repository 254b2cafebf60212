"""`avatarkit export`: networks as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console


def student(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint or run of avatarkit train student.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.onnx).")],
    avatar: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default="all", help="Avatar to take along; again for more."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Write a student as an ONNX file that draws the chosen avatars; nobody can be added to it."""
    from avatarkit.pipelines.export import export

    with Console(quiet=quiet) as console:
        console.summary(export(checkpoint, output, tuple(avatar or ()), overwrite=overwrite).summary_lines())
