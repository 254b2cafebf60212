"""The options of `avatarkit reenact`, each with its type, limits and help."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.systems.registry import engines

_motion = partial(typer.Option, rich_help_panel="Motion")
_faces = partial(typer.Option, rich_help_panel="Faces")
_picture = partial(typer.Option, rich_help_panel="Picture")
_networks = partial(typer.Option, rich_help_panel="Networks")
_output = partial(typer.Option, rich_help_panel="Output")

Source = Annotated[
    Path, typer.Argument(help="Portrait to move: PNG, JPEG, WebP or TIFF; left out where a student draws.")
]
Driver = Annotated[
    Path | None,
    typer.Argument(help="Video, animation or photo to follow, or a .motion file made from one.", show_default=False),
]
Output = Annotated[
    Path, _output("--output", "-o", help="Video to write (.mp4, .mov, .mkv, .webm); a picture for a photo as driver.")
]
Motion = Annotated[
    Literal["relative", "absolute"],
    _motion(help="relative: the change since a neutral reference frame; absolute: the driver's pose itself."),
]
Region = Annotated[
    Literal["all", "pose", "expression", "eyes", "mouth"],
    _motion(help="What follows the driver; the rest stays as in the source."),
]
Strength = Annotated[float, _motion(min=0.0, max=2.0, help="Factor on the motion: 0 none, 1 as it is, 2 twice.")]
YawDeg = Annotated[float, _motion(min=-60.0, max=60.0, help="Turn the head further, in degrees.")]
PitchDeg = Annotated[float, _motion(min=-60.0, max=60.0, help="Nod further, in degrees.")]
RollDeg = Annotated[float, _motion(min=-60.0, max=60.0, help="Tilt the head further, in degrees.")]
KeepScale = Annotated[bool, _motion("--keep-scale", help="Keep the head's size when the driver comes nearer.")]
CloseMouth = Annotated[
    bool, _motion("--close-mouth", help="Start from closed lips, however open the source's mouth is.")
]
Reference = Annotated[
    str,
    _motion(
        "--reference-frame",
        metavar="auto|first|N",
        help="Neutral frame of the driver for relative motion; frames count from 0.",
    ),
]
OnMissing = Annotated[
    Literal["interpolate", "hold", "source", "fail"], _motion(help="Frames in which the driver's face is lost.")
]
Start = Annotated[float, _motion(min=0.0, metavar="SECONDS", help="Where in the driver to begin.")]
End = Annotated[
    float | None, _motion(metavar="SECONDS", show_default="the driver's", help="Where in the driver to end.")
]
Face = Annotated[
    int | None,
    _faces(
        min=0,
        metavar="N",
        show_default="largest",
        help="Face of the source, numbered left to right from 0 (see avatarkit doctor --faces).",
    ),
]
FaceAt = Annotated[str | None, _faces(metavar="X,Y", help="Face of the source nearest to this pixel.")]
DriverFace = Annotated[
    int | None,
    _faces(min=0, metavar="N", show_default="largest", help="Face of the driver, numbered left to right from 0."),
]
DriverFaceAt = Annotated[str | None, _faces(metavar="X,Y", help="Face of the driver nearest to this pixel.")]
KeepTranslation = Annotated[
    bool, _motion("--keep-translation", help="Keep the head's place when the driver moves to the side.")
]
Frontalize = Annotated[
    bool, _motion("--frontalize", help="Turn the source's head to the camera first; with absolute motion it stays so.")
]
Turntable = Annotated[
    float | None,
    _motion(metavar="DEGREES", show_default=False, help="Turn the head by so much to either side; takes no driver."),
]
Engine = Annotated[
    str,
    _networks(
        metavar="|".join(["auto", *engines()]),
        help="auto: by the checkpoints. " + "; ".join(f"{info.name} {info.help}" for info in engines().values()) + ".",
    ),
]
Checkpoint = Annotated[
    list[Path] | None,
    _networks(
        show_default=False,
        help="Checkpoint or run of avatarkit train, or a file of avatarkit export; again for an enhancer.",
    ),
]
Avatar = Annotated[str | None, _networks(metavar="NAME", show_default=False, help="Whom a student draws.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], _networks(help="Where networks run.")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    _networks(help="Of the networks; auto: half where the device is faster with it."),
]
Compile = Annotated[
    bool, _networks("--compile", help="Translate the networks for the device first: minutes, for long videos.")
]
Stabilize = Annotated[
    float | None,
    _picture(
        min=0.0,
        max=1.0,
        help="How much flicker of fine detail and matte is taken out; 1 where networks' frames are cut out, else 0.",
    ),
]
Layers = Annotated[
    Path | None,
    _output(
        metavar="DIR",
        show_default=False,
        help="Also write foreground, matte and plate: ProRes 4444, or PNGs where the output is a folder.",
    ),
]
Matting = Annotated[
    Literal["auto", "multiclass", "modnet", "mediapipe", "landmarks"],
    _picture(help="What splits the person from the background; auto: the best whose weights are here."),
]
Inpaint = Annotated[Literal["auto", "lama", "opencv"], _picture(help="What paints the background behind the person.")]
Tracker = Annotated[
    Literal["auto", "mediapipe", "mediapipe-tasks"],
    _faces(help="What finds and follows faces; reenactment needs a dense one."),
]
Size = Annotated[
    int | None,
    _picture(min=64, max=8192, show_default="1024, or as networks draw", help="Side of the square picture, in pixels."),
]
Framing = Annotated[
    Literal["auto", "portrait", "head"],
    _picture(
        help="portrait: head and shoulders; head: the square that networks draw, with any engine.",
        show_default="portrait; head with networks",
    ),
]
CropScale = Annotated[
    float, _picture(min=1.2, max=8.0, help="Side of the picture in heights of the face, forehead to chin.")
]
CropOffset = Annotated[
    str, _picture(metavar="X,Y", help="Move the face to the right and down by these shares of the picture's side.")
]
HeadRoom = Annotated[
    float | None,
    _picture(
        metavar="SHARE",
        help="Least space above the hair, in shares of the picture's side, as far as the source has it.",
    ),
]
Background = Annotated[
    str,
    _picture(
        metavar="plate|keep|#rrggbb|IMAGE|transparent",
        help="plate: the source's own, filled in behind the head; keep: and a soft rim of it moves along; or yours.",
    ),
]
PasteBack = Annotated[bool, _picture("--paste-back", help="Return the source's full frame at its own resolution.")]
SideBySide = Annotated[bool, _picture("--side-by-side", help="Show source, driver and result together.")]
Preview = Annotated[
    bool, _output("--preview", help="Write one picture instead: the neutral frame and six of the driver's extremes.")
]
Audio = Annotated[
    Path | None, _output(metavar="FILE", help="Sound to use instead of the driver's, such as a motion file's.")
]
Codec = Annotated[
    str, _output(help="h264, hevc, vp9, av1 or prores, as the container takes; auto by the output's name.")
]
Crf = Annotated[
    int | None,
    _output(min=0, max=63, show_default="by codec", help="Constant rate factor: lower is better and larger."),
]
Label = Annotated[str | None, _output(metavar="TEXT", show_default="none", help="A small mark in every frame.")]
Sign = Annotated[
    tuple[Path, Path] | None,
    _output(
        "--sign",
        metavar="CERT KEY",
        show_default="none",
        help="Add a C2PA manifest signed by this certificate chain and key (PEM).",
    ),
]
Tsa = Annotated[str | None, _output(metavar="URL", show_default="none", help="Time stamp authority for --sign.")]
Cache = Annotated[
    Path | None,
    _output(
        metavar="DIR",
        show_default="none",
        help="Keep the source's layers and the driver's motion here, for later runs with the same files.",
    ),
]
Report = Annotated[
    Path | None, _output(metavar="OUT.json", help="Also write hashes, timings and versions of the run as JSON.")
]
Overwrite = Annotated[bool, _output("--overwrite", help="Replace existing outputs.")]
Quiet = Annotated[bool, _output("--quiet", "-q", help="Write nothing but errors.")]
