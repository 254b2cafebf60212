"""Drivers without pictures: one real face, moved and deformed by known amounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.face.sequence import TrackedFrame
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.extract import DriverInfo, extract
from avatarkit.motion.transfer import DriveFrame, Framing, Transfer

INFO = DriverInfo("driver.mp4", Fraction(25), 512, 600, "synthetic 1")
IDENTITY = Framing(1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Pose:
    """A rigid move of a face about its own origin: degrees, pixels, factor."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0

    @property
    def rotation(self) -> np.ndarray:
        return from_euler_deg(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def move(self, points: np.ndarray, origin: np.ndarray) -> np.ndarray:
        shift = np.array([self.dx, self.dy, 0.0])
        return self.scale * (points - origin) @ self.rotation.T + origin + shift


STILL = Pose()


def with_mouth(face: np.ndarray, opening: float) -> np.ndarray:
    """The face with its lower lip and chin lowered by `opening` head units along its own y axis."""
    frame = head_frame(face)
    result = face.copy()
    rows = [*lm.INNER_LIP_LOWER[1:-1], *lm.OUTER_LIP_LOWER[1:-1], lm.CHIN, 175, 199, 200, 18, 83, 313]
    result[rows] += opening * frame.scale * frame.rotation[:, 1]
    return result


def with_eyes(face: np.ndarray, left_open: float) -> np.ndarray:
    """The face with a share of its lid distance left; 0 closes both eyes."""
    result = face.copy()
    for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        high, low = list(upper[1:-1]), list(lower[1:-1])
        result[high] = face[low] + left_open * (face[high] - face[low])
    return result


def with_gaze(face: np.ndarray, along: float) -> np.ndarray:
    """The face with both irises moved towards larger x by a share of the eye's width."""
    result = face.copy()
    for eye, (centre, rim) in enumerate(zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)):
        a, b = face[lm.UPPER_LIDS[eye][0]], face[lm.UPPER_LIDS[eye][-1]]
        result[[centre, *rim], :2] += along * (b - a)[:2] * (1 if eye == 0 else -1)
    return result


def tracked(faces: Sequence[np.ndarray | None], cuts: Sequence[int] = ()) -> list[TrackedFrame]:
    """Tracked frames of landmarks, None where the face is lost."""
    return [
        TrackedFrame(None if face is None else face.astype(np.float32), number in cuts)
        for number, face in enumerate(faces)
    ]


@pytest.fixture(scope="session")
def face(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face (478, 3) with a closed mouth and open eyes."""
    return with_mouth(hopper_landmarks, 0.02)


@pytest.fixture(scope="session")
def frontal(face: np.ndarray) -> np.ndarray:
    """The same face, turned straight to the camera."""
    frame = head_frame(face)
    return (face - frame.translation) @ frame.rotation + frame.translation


@pytest.fixture(scope="session")
def posed(frontal: np.ndarray) -> Callable[..., list[np.ndarray]]:
    """`posed(poses)` moves the frontal face about its origin; `posed(poses, faces)` moves those faces."""
    origin = head_frame(frontal).translation

    def make(poses: Sequence[Pose], faces: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        faces = faces if faces is not None else [frontal] * len(poses)
        return [pose.move(points, origin) for pose, points in zip(poses, faces, strict=True)]

    return make


def motion_of(
    faces: Sequence[np.ndarray | None],
    cuts: Sequence[int] = (),
    on_missing: str = "interpolate",
    rate: Fraction = INFO.rate,
) -> Motion:
    """The motion extracted from landmarks."""
    info = DriverInfo(INFO.name, rate, INFO.width, INFO.height, INFO.tracker)
    return extract(tracked(faces, cuts), info, on_missing)


def driven(
    motion: Motion, source: np.ndarray, framing: Framing = IDENTITY, **options: object
) -> list[DriveFrame]:
    """All frames of a motion on a source."""
    transfer = Transfer(motion, source, MotionConfig(**options), framing)
    return [transfer.frame(index) for index in range(len(transfer))]
