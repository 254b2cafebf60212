"""`avatarkit motion`: a driver's motion as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.cli.console import Console
from avatarkit.cli.parsing import face_choice


def extract(
    driver: Annotated[Path, typer.Argument(help="Video, animation or photo with the face to follow.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.motion", help="Motion file to write.")
    ],
    face: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", show_default="largest", help="Face, numbered left to right from 0."),
    ] = None,
    face_at: Annotated[str | None, typer.Option(metavar="X,Y", help="Face nearest to this pixel.")] = None,
    on_missing: Annotated[
        Literal["interpolate", "hold", "source", "fail"],
        typer.Option(help="Frames in which the face is lost."),
    ] = "interpolate",
    tracker: Annotated[
        Literal["auto", "mediapipe", "mediapipe-tasks"],
        typer.Option(help="What finds and follows the face."),
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Write the motion of a driver into a small file without pixels; reenact takes it as driver."""
    from avatarkit.pipelines.motion import extract_motion

    choice = face_choice(face, face_at)
    with Console(quiet=quiet) as console:
        summary = extract_motion(
            driver,
            output,
            face=choice,
            on_missing=on_missing,
            overwrite=overwrite,
            progress=console,
            tracker=tracker,
        )
        console.summary(summary.summary_lines())


def show(
    file: Annotated[Path, typer.Argument(help="Motion file.")],
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Also draw the curves into a picture.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
) -> None:
    """Print what a motion file holds: length, rate, ranges and curves over time."""
    from avatarkit.pipelines.motion import plot_motion, show_motion

    with Console() as console:
        overview = show_motion(file)
        if plot is not None:
            plot_motion(file, plot, overwrite=overwrite)
        console.table(overview.rows())
        console.sparklines(overview.series)
