"""Options of motion transfer."""

from dataclasses import dataclass

from avatarkit.errors import UsageError

MODES = ("relative", "absolute")
REGIONS = ("all", "pose", "expression", "eyes", "mouth")
ON_MISSING = ("interpolate", "hold", "source", "fail")


@dataclass(frozen=True)
class MotionConfig:
    """How a driver's motion is applied to a source.

    mode: "relative" transfers the change since a reference frame, "absolute" the pose itself.
    region: what is transferred: all, pose (the head as a whole), expression (everything else), eyes or mouth.
    strength: 0 leaves the source still, 1 transfers as it is, up to 2 exaggerates.
    yaw_deg, pitch_deg, roll_deg: turned on top of the driver's motion, in degrees.
    keep_scale: the head keeps its size when the driver comes nearer or leaves. keep_translation: it keeps its place.
    frontalize: the source's head faces the camera before it moves; with absolute motion it stays so.
    close_mouth: an open-mouthed source starts from closed lips, however wide they are apart (relative motion).
    reference_frame: "auto", "first", or a frame number (from 0).
    """

    mode: str = "relative"
    region: str = "all"
    strength: float = 1.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    keep_scale: bool = False
    close_mouth: bool = False
    keep_translation: bool = False
    frontalize: bool = False
    reference_frame: str = "auto"


def check(config: MotionConfig) -> MotionConfig:
    """The same configuration, when its values make sense.

    Raises:
        UsageError: naming the option and its range.
    """
    if config.mode not in MODES:
        raise UsageError(f"--motion {config.mode}: use {' or '.join(MODES)}")
    if config.region not in REGIONS:
        raise UsageError(f"--region {config.region}: use one of {', '.join(REGIONS)}")
    if not 0.0 <= config.strength <= 2.0:
        raise UsageError(f"--strength {config.strength:g}: use a number from 0 to 2")
    if config.close_mouth and config.mode != "relative":
        raise UsageError("--close-mouth changes where motion starts from: use it with --motion relative")
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        if not abs(getattr(config, name)) <= 60.0:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(config, name):g}: use degrees from -60 to 60")
    return config
