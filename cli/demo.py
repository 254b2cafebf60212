"""`avatarkit demo`: the main job on pictures that are already installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results; made when missing.")
    ] = Path("avatarkit-demo"),
    size: Annotated[
        int, typer.Option(min=64, max=8192, help="Side of the square picture, in pixels.")
    ] = 1024,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Reenact a public-domain portrait with a driver made on the spot; say where the results are."""
    from avatarkit.pipelines.demo import run_demo

    with Console(quiet=quiet) as console:
        result = run_demo(output, size=size, overwrite=overwrite, progress=console)
        if not quiet:
            console.table([(name, str(path)) for name, path in result.paths.items()])
