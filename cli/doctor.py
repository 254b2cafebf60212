"""`avatarkit doctor`: is everything here, and what does the tracker see."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console
from avatarkit.errors import DependencyError, InputError


def doctor(
    faces: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="List the faces in a picture, numbered left to right, instead."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Check that programs, packages and models are in place, or list the faces in a picture."""
    with Console() as console:
        if faces is None:
            _check(console, as_json)
        else:
            _list_faces(console, faces, as_json)


def _check(console: Console, as_json: bool) -> None:
    from avatarkit.pipelines.doctor.report import diagnose

    report = diagnose()
    if as_json:
        console.json(report.to_json())
    else:
        console.table(report.rows())
    if not report.ok:
        jobs = "; ".join(f"{job} lacks {', '.join(names)}" for job, names in report.blocked.items())
        raise DependencyError(f"{jobs}; see the list above")


def _list_faces(console: Console, image: Path, as_json: bool) -> None:
    from avatarkit.pipelines.faces import list_faces

    rows = list_faces(image)
    if as_json:
        console.json([asdict(row) for row in rows])
        return
    if not rows:
        raise InputError(f"{image}: no face found; use a picture in which a face is clearly visible")
    heading = ("face", "left,top,right,bottom px", "score", "between eyes px", "yaw deg")
    console.table(
        [
            heading,
            *(
                (
                    str(row.index),
                    ",".join(f"{side:.0f}" for side in row.box),
                    f"{row.score:.2f}",
                    f"{row.inter_ocular_px:.0f}",
                    f"{row.yaw_deg:+.0f}",
                )
                for row in rows
            ),
        ]
    )
