"""`avatarkit personalize`: an avatar of one person from footage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit.cli.console import Console
from avatarkit.cli.parsing import face_choice

Footage = Annotated[
    list[Path], typer.Argument(metavar="FOOTAGE...", help="Videos of one person, 20 seconds to 10 minutes in all.")
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="ME.avatar", help="The avatar.")]
Consent = Annotated[
    bool,
    typer.Option("--consent", help="Confirm that the person shown agreed; recorded in the avatar and what it draws."),
]
Minutes = Annotated[
    float, typer.Option("--minutes", metavar="M", help="Learn at most so long; ends earlier where nothing is gained.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="RUN",
        help="Start from a portrait of train metaportrait/meta or /portrait; without one from nothing, over the warp.",
    ),
]
Start = Annotated[float, typer.Option("--start", min=0.0, metavar="S", help="Use each video from here on, seconds.")]
End = Annotated[float | None, typer.Option("--end", metavar="S", help="Use each video up to here.")]
FaceNumber = Annotated[
    int | None,
    typer.Option("--face", min=0, metavar="N", help="Whose footage it is, of several people: numbered left to right."),
]
FaceAt = Annotated[str | None, typer.Option("--face-at", metavar="X,Y", help="The same by a point in pixels.")]


def personalize(
    footage: Footage,
    output: Output,
    consent: Consent = False,
    minutes: Minutes = 20.0,
    checkpoint: Checkpoint = None,
    start: Start = 0.0,
    end: End = None,
    face: FaceNumber = None,
    face_at: FaceAt = None,
    tracker: Annotated[str, typer.Option("--tracker", help="What finds and follows faces.")] = "auto",
    matting: Annotated[str, typer.Option("--matting", help="What cuts the person out.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an avatar that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Learn a person's mouth and eyes from footage; the same command again goes on after an interruption."""
    from avatarkit.pipelines.driver import DriverPart
    from avatarkit.pipelines.personalize.config import PersonalizeConfig
    from avatarkit.pipelines.personalize.run import personalize as run

    config = PersonalizeConfig(
        footage=tuple(footage),
        output=output,
        consent=consent,
        minutes=minutes,
        part=DriverPart(start, end),
        face=face_choice(face, face_at),
        tracker=tracker,
        matting=matting,
        overwrite=overwrite,
        checkpoint=checkpoint,
    )
    with Console(quiet=quiet) as console:
        console.summary(run(config, console).summary_lines())
