"""The options of `avatarkit reenact`, each with its type, limits and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.systems.registry import engines

MOTION, FACES, PICTURE, NETWORKS, OUTPUT = "Motion", "Faces", "Picture", "Networks", "Output"

Source = Annotated[
    Path, typer.Argument(help="Portrait to move: PNG, JPEG, WebP or TIFF; left out where a student draws.")
]
Driver = Annotated[
    Path | None,
    typer.Argument(help="Video, animation or photo to follow, or a .motion file made from one.", show_default=False),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Video to write (.mp4, .mov, .mkv, .webm); a picture for a photo as driver.",
        rich_help_panel=OUTPUT,
    ),
]
Motion = Annotated[
    Literal["relative", "absolute"],
    typer.Option(
        help="relative: the change since a neutral reference frame; absolute: the driver's pose itself.",
        rich_help_panel=MOTION,
    ),
]
Region = Annotated[
    Literal["all", "pose", "expression", "eyes", "mouth"],
    typer.Option(
        help="What follows the driver; the rest stays as in the source.", rich_help_panel=MOTION
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=2.0,
        help="Factor on the motion: 0 none, 1 as it is, 2 twice.",
        rich_help_panel=MOTION,
    ),
]
YawDeg = Annotated[
    float,
    typer.Option(min=-60.0, max=60.0, help="Turn the head further, in degrees.", rich_help_panel=MOTION),
]
PitchDeg = Annotated[
    float, typer.Option(min=-60.0, max=60.0, help="Nod further, in degrees.", rich_help_panel=MOTION)
]
RollDeg = Annotated[
    float,
    typer.Option(min=-60.0, max=60.0, help="Tilt the head further, in degrees.", rich_help_panel=MOTION),
]
KeepScale = Annotated[
    bool,
    typer.Option(
        "--keep-scale", help="Keep the head's size when the driver comes nearer.", rich_help_panel=MOTION
    ),
]
CloseMouth = Annotated[
    bool,
    typer.Option(
        "--close-mouth", help="Start from closed lips, however open the source's mouth is.", rich_help_panel=MOTION
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        "--reference-frame",
        metavar="auto|first|N",
        rich_help_panel=MOTION,
        help="Neutral frame of the driver for relative motion; frames count from 0.",
    ),
]
OnMissing = Annotated[
    Literal["interpolate", "hold", "source", "fail"],
    typer.Option(help="Frames in which the driver's face is lost.", rich_help_panel=MOTION),
]
Start = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="Where in the driver to begin.", rich_help_panel=MOTION)
]
End = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", show_default="the driver's", help="Where in the driver to end.", rich_help_panel=MOTION
    ),
]
Face = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        show_default="largest",
        rich_help_panel=FACES,
        help="Face of the source, numbered left to right from 0 (see avatarkit doctor --faces).",
    ),
]
FaceAt = Annotated[
    str | None,
    typer.Option(metavar="X,Y", help="Face of the source nearest to this pixel.", rich_help_panel=FACES),
]
DriverFace = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        show_default="largest",
        rich_help_panel=FACES,
        help="Face of the driver, numbered left to right from 0.",
    ),
]
DriverFaceAt = Annotated[
    str | None,
    typer.Option(metavar="X,Y", help="Face of the driver nearest to this pixel.", rich_help_panel=FACES),
]
KeepTranslation = Annotated[
    bool,
    typer.Option(
        "--keep-translation", help="Keep the head's place when the driver moves to the side.", rich_help_panel=MOTION
    ),
]
Frontalize = Annotated[
    bool,
    typer.Option(
        "--frontalize",
        help="Turn the source's head to the camera first; with absolute motion it stays so.",
        rich_help_panel=MOTION,
    ),
]
Turntable = Annotated[
    float | None,
    typer.Option(
        metavar="DEGREES",
        show_default=False,
        help="Turn the head by so much to either side; takes no driver.",
        rich_help_panel=MOTION,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="|".join(["auto", *engines()]),
        help="auto: by the checkpoints. " + "; ".join(f"{info.name} {info.help}" for info in engines().values()) + ".",
        rich_help_panel=NETWORKS,
    ),
]
Checkpoint = Annotated[
    list[Path] | None,
    typer.Option(
        show_default=False,
        help="Checkpoint or run of avatarkit train, or a file of avatarkit export; again for an enhancer.",
        rich_help_panel=NETWORKS,
    ),
]
Avatar = Annotated[
    str | None,
    typer.Option(metavar="NAME", show_default=False, help="Whom a student draws.", rich_help_panel=NETWORKS),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where networks run.", rich_help_panel=NETWORKS)
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(help="Of the networks; auto: half where the device is faster with it.", rich_help_panel=NETWORKS),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="Translate the networks for the device first: minutes, for long videos.",
        rich_help_panel=NETWORKS,
    ),
]
Stabilize = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="How much flicker of fine detail and matte is taken out; 1 where networks' frames are cut out, else 0.",
        rich_help_panel=PICTURE,
    ),
]
Layers = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        show_default=False,
        help="Also write foreground, matte and plate: ProRes 4444, or PNGs where the output is a folder.",
        rich_help_panel=OUTPUT,
    ),
]
Matting = Annotated[
    Literal["auto", "multiclass", "modnet", "mediapipe", "landmarks"],
    typer.Option(
        help="What splits the person from the background; auto: the best whose weights are here.",
        rich_help_panel=PICTURE,
    ),
]
Inpaint = Annotated[
    Literal["auto", "lama", "opencv"],
    typer.Option(help="What paints the background behind the person.", rich_help_panel=PICTURE),
]
Tracker = Annotated[
    Literal["auto", "mediapipe", "mediapipe-tasks"],
    typer.Option(help="What finds and follows faces; reenactment needs a dense one.", rich_help_panel=FACES),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=64,
        max=8192,
        show_default="1024, or as networks draw",
        help="Side of the square picture, in pixels.",
        rich_help_panel=PICTURE,
    ),
]
Framing = Annotated[
    Literal["auto", "portrait", "head"],
    typer.Option(
        help="portrait: head and shoulders; head: the square that networks draw, with any engine.",
        show_default="portrait; head with networks",
        rich_help_panel=PICTURE,
    ),
]
CropScale = Annotated[
    float,
    typer.Option(
        min=1.2, max=8.0, help="Side of the picture in heights of the face, forehead to chin.", rich_help_panel=PICTURE
    ),
]
CropOffset = Annotated[
    str,
    typer.Option(
        metavar="X,Y",
        help="Move the face to the right and down by these shares of the picture's side.",
        rich_help_panel=PICTURE,
    ),
]
HeadRoom = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Least space above the hair, in shares of the picture's side, as far as the source has it.",
        rich_help_panel=PICTURE,
    ),
]
Background = Annotated[
    str,
    typer.Option(
        metavar="plate|keep|#rrggbb|IMAGE|transparent",
        rich_help_panel=PICTURE,
        help="plate: the source's own, filled in behind the head; keep: and a soft rim of it moves along; or yours.",
    ),
]
PasteBack = Annotated[
    bool,
    typer.Option(
        "--paste-back",
        help="Return the source's full frame at its own resolution.",
        rich_help_panel=PICTURE,
    ),
]
SideBySide = Annotated[
    bool,
    typer.Option(
        "--side-by-side", help="Show source, driver and result together.", rich_help_panel=PICTURE
    ),
]
Preview = Annotated[
    bool,
    typer.Option(
        "--preview",
        help="Write one picture instead: the neutral frame and six of the driver's extremes.",
        rich_help_panel=OUTPUT,
    ),
]
Audio = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Sound to use instead of the driver's, such as a motion file's.", rich_help_panel=OUTPUT
    ),
]
Codec = Annotated[
    str,
    typer.Option(
        help="h264, hevc, vp9, av1 or prores, as the container takes; auto by the output's name.",
        rich_help_panel=OUTPUT,
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=63,
        show_default="by codec",
        rich_help_panel=OUTPUT,
        help="Constant rate factor: lower is better and larger.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="TEXT", show_default="none", help="A small mark in every frame.", rich_help_panel=OUTPUT),
]
Sign = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--sign",
        metavar="CERT KEY",
        show_default="none",
        help="Add a C2PA manifest signed by this certificate chain and key (PEM).",
        rich_help_panel=OUTPUT,
    ),
]
Tsa = Annotated[
    str | None,
    typer.Option(metavar="URL", show_default="none", help="Time stamp authority for --sign.", rich_help_panel=OUTPUT),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        show_default="none",
        help="Keep the source's layers and the driver's motion here, for later runs with the same files.",
        rich_help_panel=OUTPUT,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="OUT.json",
        help="Also write hashes, timings and versions of the run as JSON.",
        rich_help_panel=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing outputs.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Write nothing but errors.", rich_help_panel=OUTPUT)
]
