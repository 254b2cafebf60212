"""`avatarkit gallery`: a page of the results in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A batch's folder, or one with SOURCE--DRIVER videos or folders of them.")
]


def gallery(folder: Folder) -> None:
    """Write DIR/index.html: sources by drivers, playing in sync; several engines or versions are compared."""
    from avatarkit.errors import InputError
    from avatarkit.pipelines.batch.gallery import write_gallery

    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give one with results")
    with Console() as console:
        console.summary([f"{write_gallery(folder)}: open it in a browser"])
