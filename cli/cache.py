"""`avatarkit cache`: what `--cache DIR` has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that --cache named.")]


def info(folder: Folder) -> None:
    """Say what is kept, by kind."""
    from avatarkit.errors import InputError
    from avatarkit.pipelines.program import open_cache

    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one that --cache named")
    kinds = open_cache(folder).usage()
    rows = [(item.kind, str(item.entries), f"{item.size / 1e6:.1f} MB") for item in kinds]
    total = sum(item.entries for item in kinds), sum(item.size for item in kinds)
    with Console() as console:
        console.table([("kind", "entries", "size"), *rows, ("all", str(total[0]), f"{total[1] / 1e6:.1f} MB")])


def clear(folder: Folder) -> None:
    """Remove all that is kept, and the folder."""
    from avatarkit.pipelines.program import open_cache

    with Console() as console:
        console.summary([f"{folder}: {open_cache(folder).clear() / 1e6:.1f} MB freed"])
