"""Options of motion transfer."""

from dataclasses import dataclass

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
