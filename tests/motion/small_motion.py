"""A motion file of a few frames, without any face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from avatarkit.motion.columns import Motion
from avatarkit.motion.file import write_motion


def small_motion(path: Path, frames: int = 3) -> Path:
    """Write a head that stands still."""
    still = np.zeros((1, 478, 3), np.float32)
    motion = Motion(
        rate=Fraction(25), width=64, height=64, tracker="none", driver="none",
        rotation=np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)), translation=np.zeros((frames, 3), np.float32),
        scale=np.ones(frames, np.float32), expression=np.repeat(still, frames, axis=0),
        mouth_opening=np.zeros(frames, np.float32), eye_opening=np.zeros((frames, 2), np.float32),
        gaze=np.zeros((frames, 2, 2), np.float32), presence=np.ones(frames, np.float32),
        state=np.zeros(frames, np.uint8), shot=np.zeros(frames, np.int32), identity=still,
    )  # fmt: skip
    write_motion(path, motion)
    return path
