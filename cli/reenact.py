"""`avatarkit reenact`: move a portrait like a driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from avatarkit.cli import reenact_options as options
from avatarkit.cli.console import Console
from avatarkit.cli.memory import reuse_freed_memory
from avatarkit.cli.parsing import face_choice, pair, reference_frame
from avatarkit.errors import UsageError

if TYPE_CHECKING:
    from avatarkit.pipelines.reenact_config import ReenactConfig


def reenact(
    source: options.Source,
    output: options.Output,
    driver: options.Driver = None,
    motion: options.Motion = "relative",
    region: options.Region = "all",
    strength: options.Strength = 1.0,
    yaw_deg: options.YawDeg = 0.0,
    pitch_deg: options.PitchDeg = 0.0,
    roll_deg: options.RollDeg = 0.0,
    keep_scale: options.KeepScale = False,
    close_mouth: options.CloseMouth = False,
    keep_translation: options.KeepTranslation = False,
    frontalize: options.Frontalize = False,
    turntable: options.Turntable = None,
    reference: options.Reference = "auto",
    on_missing: options.OnMissing = "interpolate",
    start: options.Start = 0.0,
    end: options.End = None,
    face: options.Face = None,
    face_at: options.FaceAt = None,
    driver_face: options.DriverFace = None,
    driver_face_at: options.DriverFaceAt = None,
    engine: options.Engine = "auto",
    checkpoint: options.Checkpoint = None,
    avatar: options.Avatar = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    compile: options.Compile = False,
    matting: options.Matting = "auto",
    inpaint: options.Inpaint = "auto",
    tracker: options.Tracker = "auto",
    size: options.Size = None,
    framing: options.Framing = "auto",
    crop_scale: options.CropScale = 2.4,
    crop_offset: options.CropOffset = "0,0",
    head_room: options.HeadRoom = None,
    background: options.Background = "plate",
    paste_back: options.PasteBack = False,
    side_by_side: options.SideBySide = False,
    stabilize: options.Stabilize = None,
    preview: options.Preview = False,
    layers: options.Layers = None,
    audio: options.Audio = None,
    codec: options.Codec = "auto",
    crf: options.Crf = None,
    label: options.Label = None,
    sign: options.Sign = None,
    tsa: options.Tsa = None,
    cache: options.Cache = None,
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Move a portrait like a driver: head, expression and gaze, with the driver's sound."""
    config = config_of(locals())
    from avatarkit.pipelines.reenact import reenact as run

    reuse_freed_memory()
    with Console(quiet=quiet) as console:
        console.summary(run(config, console).summary_lines())


def config_of(values: Mapping[str, Any]) -> ReenactConfig:
    """The configuration that the parameters of `reenact` ask for, by their names.

    Raises:
        UsageError: a value that cannot be read.
    """
    from avatarkit.motion.config import MotionConfig
    from avatarkit.pipelines.driver import DriverPart
    from avatarkit.pipelines.reenact_config import ReenactConfig

    if values["paste_back"] and values["size"] is not None:
        raise UsageError(f"--size {values['size']}: --paste-back gives the picture its own size; leave one of them out")
    # Most options are fields by the same names; the rest is put together here.
    plain = {field.name: values[field.name] for field in fields(ReenactConfig) if field.name in values}
    motion = {
        "mode": values["motion"],
        "reference_frame": reference_frame(values["reference"]),
        **{field.name: values[field.name] for field in fields(MotionConfig) if field.name in values},
    }
    # A single path is the portrait of a turntable, or the driver of an engine that knows whom it draws.
    alone = values["driver"] is None and values["turntable"] is None
    composed = {
        "source": None if alone else values["source"],
        "driver": values["source"] if alone else values["driver"],
        "checkpoint": tuple(values["checkpoint"] or ()),
        "motion": MotionConfig(**motion),
        "face": face_choice(values["face"], values["face_at"]),
        "driver_face": face_choice(values["driver_face"], values["driver_face_at"], "--driver-"),
        "part": DriverPart(values["start"], values["end"]),
        "crop_offset": pair(values["crop_offset"], "--crop-offset"),
    }
    return ReenactConfig(**{**plain, **composed})
