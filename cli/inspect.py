"""`avatarkit inspect`: what a file says of itself, and whether that can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console

File = Annotated[Path, typer.Argument(metavar="FILE", help="A picture or video.")]
Trust = Annotated[
    Path | None, typer.Option(metavar="PEM", show_default="none", help="Root certificates whose signers are believed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def inspect(file: File, trust: Trust = None, as_json: Json = False) -> None:
    """Show a file's metadata and C2PA manifest, and check them; the exit code says what it comes to."""
    from avatarkit.pipelines.provenance.inspection import inspect_file

    result = inspect_file(file, trust)
    with Console() as console:
        if as_json:
            console.json(result.to_json())
        else:
            console.summary(result.lines())
    raise typer.Exit(result.exit_code)
