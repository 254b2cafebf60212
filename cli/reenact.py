"""`avatarkit reenact`: move a portrait like a driver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.cli.console import Console
from avatarkit.cli.parsing import face_choice, reference_frame

MOTION, FACES, PICTURE, OUTPUT = "Motion", "Faces", "Picture", "Output"


def reenact(
    source: Annotated[Path, typer.Argument(help="Portrait to move: PNG, JPEG, WebP or TIFF.")],
    driver: Annotated[
        Path, typer.Argument(help="Video, animation or photo to follow, or a .motion file made from one.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Video to write (.mp4, .mov, .mkv, .webm); a picture for a photo as driver.",
            rich_help_panel=OUTPUT,
        ),
    ],
    motion: Annotated[
        Literal["relative", "absolute"],
        typer.Option(
            help="relative: the change since a neutral reference frame; absolute: the driver's pose itself.",
            rich_help_panel=MOTION,
        ),
    ] = "relative",
    region: Annotated[
        Literal["all", "pose", "expression", "eyes", "mouth"],
        typer.Option(
            help="What follows the driver; the rest stays as in the source.", rich_help_panel=MOTION
        ),
    ] = "all",
    strength: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=2.0,
            help="Factor on the motion: 0 none, 1 as it is, 2 twice.",
            rich_help_panel=MOTION,
        ),
    ] = 1.0,
    yaw_deg: Annotated[
        float,
        typer.Option(min=-60.0, max=60.0, help="Turn the head further, in degrees.", rich_help_panel=MOTION),
    ] = 0.0,
    pitch_deg: Annotated[
        float, typer.Option(min=-60.0, max=60.0, help="Nod further, in degrees.", rich_help_panel=MOTION)
    ] = 0.0,
    roll_deg: Annotated[
        float,
        typer.Option(min=-60.0, max=60.0, help="Tilt the head further, in degrees.", rich_help_panel=MOTION),
    ] = 0.0,
    keep_scale: Annotated[
        bool,
        typer.Option(
            "--keep-scale", help="Keep the head's size when the driver comes nearer.", rich_help_panel=MOTION
        ),
    ] = False,
    reference: Annotated[
        str,
        typer.Option(
            "--reference-frame",
            metavar="auto|first|N",
            rich_help_panel=MOTION,
            help="Neutral frame of the driver for relative motion; frames count from 0.",
        ),
    ] = "auto",
    on_missing: Annotated[
        Literal["interpolate", "hold", "source", "fail"],
        typer.Option(help="Frames in which the driver's face is lost.", rich_help_panel=MOTION),
    ] = "interpolate",
    face: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            show_default="largest",
            rich_help_panel=FACES,
            help="Face of the source, numbered left to right from 0 (see avatarkit doctor --faces).",
        ),
    ] = None,
    face_at: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Face of the source nearest to this pixel.", rich_help_panel=FACES),
    ] = None,
    driver_face: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            show_default="largest",
            rich_help_panel=FACES,
            help="Face of the driver, numbered left to right from 0.",
        ),
    ] = None,
    driver_face_at: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Face of the driver nearest to this pixel.", rich_help_panel=FACES),
    ] = None,
    engine: Annotated[
        Literal["warp"],
        typer.Option(
            help="How the picture is made; warp needs no GPU and no weights.", rich_help_panel=PICTURE
        ),
    ] = "warp",
    size: Annotated[
        int,
        typer.Option(
            min=64, max=8192, help="Side of the square picture, in pixels.", rich_help_panel=PICTURE
        ),
    ] = 1024,
    background: Annotated[
        str,
        typer.Option(
            metavar="plate|keep|#rrggbb|IMAGE|transparent",
            rich_help_panel=PICTURE,
            help="plate: the source's own, filled in behind the head; keep: as it is; or one of yours.",
        ),
    ] = "plate",
    paste_back: Annotated[
        bool,
        typer.Option(
            "--paste-back",
            help="Return the source's full frame at its own resolution.",
            rich_help_panel=PICTURE,
        ),
    ] = False,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side", help="Show source, driver and result together.", rich_help_panel=PICTURE
        ),
    ] = False,
    codec: Annotated[
        str,
        typer.Option(
            help="h264, hevc, vp9, av1 or prores, as the container takes; auto by the output's name.",
            rich_help_panel=OUTPUT,
        ),
    ] = "auto",
    crf: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=63,
            show_default="by codec",
            rich_help_panel=OUTPUT,
            help="Constant rate factor: lower is better and larger.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.json",
            help="Also write hashes, timings and versions of the run as JSON.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing outputs.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Write nothing but errors.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Move a portrait like a driver: head, expression and gaze, with the driver's sound."""
    from avatarkit.motion.config import MotionConfig
    from avatarkit.pipelines.reenact import ReenactConfig
    from avatarkit.pipelines.reenact import reenact as run

    config = ReenactConfig(
        source=source,
        driver=driver,
        output=output,
        motion=MotionConfig(
            mode=motion,
            region=region,
            strength=strength,
            yaw_deg=yaw_deg,
            pitch_deg=pitch_deg,
            roll_deg=roll_deg,
            keep_scale=keep_scale,
            reference_frame=reference_frame(reference),
        ),
        face=face_choice(face, face_at),
        driver_face=face_choice(driver_face, driver_face_at, "--driver-"),
        on_missing=on_missing,
        size=size,
        background=background,
        paste_back=paste_back,
        side_by_side=side_by_side,
        engine=engine,
        crf=crf,
        codec=codec,
        overwrite=overwrite,
        report=report,
    )
    with Console(quiet=quiet) as console:
        console.summary(run(config, console).summary_lines())
