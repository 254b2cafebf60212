"""`avatarkit reenact`: move a portrait like a driver."""

from __future__ import annotations

from avatarkit.cli import reenact_options as options
from avatarkit.cli.console import Console
from avatarkit.cli.parsing import face_choice, pair, reference_frame


def reenact(
    source: options.Source,
    driver: options.Driver,
    output: options.Output,
    motion: options.Motion = "relative",
    region: options.Region = "all",
    strength: options.Strength = 1.0,
    yaw_deg: options.YawDeg = 0.0,
    pitch_deg: options.PitchDeg = 0.0,
    roll_deg: options.RollDeg = 0.0,
    keep_scale: options.KeepScale = False,
    reference: options.Reference = "auto",
    on_missing: options.OnMissing = "interpolate",
    start: options.Start = 0.0,
    end: options.End = None,
    face: options.Face = None,
    face_at: options.FaceAt = None,
    driver_face: options.DriverFace = None,
    driver_face_at: options.DriverFaceAt = None,
    engine: options.Engine = "warp",
    matting: options.Matting = "auto",
    inpaint: options.Inpaint = "auto",
    tracker: options.Tracker = "auto",
    size: options.Size = 1024,
    crop_scale: options.CropScale = 2.4,
    crop_offset: options.CropOffset = "0,0",
    background: options.Background = "plate",
    paste_back: options.PasteBack = False,
    side_by_side: options.SideBySide = False,
    preview: options.Preview = False,
    audio: options.Audio = None,
    codec: options.Codec = "auto",
    crf: options.Crf = None,
    cache: options.Cache = None,
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Move a portrait like a driver: head, expression and gaze, with the driver's sound."""
    from avatarkit.motion.config import MotionConfig
    from avatarkit.pipelines.driver import DriverPart
    from avatarkit.pipelines.reenact import reenact as run
    from avatarkit.pipelines.reenact_config import ReenactConfig

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
        part=DriverPart(start, end),
        size=size,
        crop_scale=crop_scale,
        crop_offset=pair(crop_offset, "--crop-offset"),
        background=background,
        paste_back=paste_back,
        side_by_side=side_by_side,
        preview=preview,
        engine=engine,
        matting=matting,
        inpaint=inpaint,
        tracker=tracker,
        crf=crf,
        codec=codec,
        audio=audio,
        cache=cache,
        overwrite=overwrite,
        report=report,
    )
    with Console(quiet=quiet) as console:
        console.summary(run(config, console).summary_lines())
