"""A head that turns from side to side and does nothing else: a look at a source without a driver."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.columns import Motion
from avatarkit.motion.script import Script, scripted_motion

PERIOD_S = 4.0
RATE = Fraction(25)


def turntable(landmarks: NDArray[np.floating[Any]], width: int, height: int, yaw_deg: float) -> Motion:
    """The motion of one turn to either side and back.

    Args:
        landmarks: (478, 3) of the face as it is, in pixels. width, height: of its picture, in pixels.
        yaw_deg: how far it turns to either side, in degrees.
    """
    still = Script(PERIOD_S, RATE, 0.0, 0.0, 0.0, 0.0, speech=0.0, blinks=0.0, gaze=0.0, brows=0.0, smile=0.0)
    motion = scripted_motion(landmarks, width, height, still, "turntable")
    pose = head_frame(landmarks)
    angles = yaw_deg * np.sin(2.0 * np.pi * np.arange(len(motion)) / len(motion))
    return replace(
        motion,
        rotation=np.stack([from_euler_deg(angle, 0.0, 0.0) @ pose.rotation for angle in angles]).astype(np.float32),
        translation=np.tile(pose.translation, (len(motion), 1)).astype(np.float32),
        scale=np.full(len(motion), pose.scale, np.float32),
    )
