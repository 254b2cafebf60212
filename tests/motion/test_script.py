"""The scripted performance: exact at its ends, repeatable, and within what a face can do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.face.tracker import FaceTracker
from avatarkit.geometry.rotation import angle_deg, to_euler_deg
from avatarkit.head.coordinates import head_frame, mouth_opening
from avatarkit.motion.columns import COLUMNS, Motion
from avatarkit.motion.face_shapes import FaceShapes, face_shapes
from avatarkit.motion.file import read_motion, write_motion
from avatarkit.motion.script import BLINKS_S, PERIOD_S, SHUT, Script, curves, scripted_motion

MIRROR = (-1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def landmarks(tracker: FaceTracker, astronaut: np.ndarray) -> np.ndarray:
    """The astronaut's landmarks (478, 3); she smiles with open lips."""
    return tracker.detect(astronaut)[0].landmarks


@pytest.fixture(scope="module")
def motion(landmarks: np.ndarray) -> Motion:
    return scripted_motion(landmarks, 512, 512)


@pytest.fixture(scope="module")
def face(landmarks: np.ndarray) -> np.ndarray:
    return head_frame(landmarks).apply_inverse(landmarks)


@pytest.fixture(scope="module")
def shapes(face: np.ndarray) -> FaceShapes:
    return face_shapes(face)


def test_first_frame_is_the_face_itself(motion: Motion, landmarks: np.ndarray) -> None:
    shape = motion.identity[0] + motion.expression[0]
    seen = motion.scale[0] * shape @ motion.rotation[0].T + motion.translation[0]
    np.testing.assert_allclose(seen, landmarks, atol=1e-2)


@pytest.mark.parametrize(("duration_s", "rate", "frames"), [(6.0, 25, 150), (1.0, Fraction(30000, 1001), 30)])
def test_length(landmarks: np.ndarray, duration_s: float, rate: Fraction, frames: int) -> None:
    made = scripted_motion(landmarks, 512, 512, Script(duration_s=duration_s, rate=Fraction(rate)))
    assert len(made) == frames
    assert made.rate == rate


def test_nothing_shorter_than_a_frame() -> None:
    with pytest.raises(UsageError, match="longer"):
        curves(Script(duration_s=0.01))


def test_repeats_after_a_period() -> None:
    long = curves(Script(duration_s=PERIOD_S + 1.0))
    period = round(PERIOD_S * Script().rate)
    np.testing.assert_allclose(long.yaw_deg[period:], long.yaw_deg[: len(long.yaw_deg) - period], atol=1e-9)
    np.testing.assert_allclose(long.jaw[period:], long.jaw[: len(long.jaw) - period], atol=1e-9)


def test_same_arguments_same_motion(motion: Motion, landmarks: np.ndarray) -> None:
    again = scripted_motion(landmarks, 512, 512)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(motion, name), getattr(again, name), err_msg=name)


def test_turns_stay_within_the_script(motion: Motion) -> None:
    own = motion.rotation[0]
    angles = np.array([to_euler_deg(rotation @ own.T) for rotation in motion.rotation])
    limits = (Script().yaw_deg, Script().pitch_deg, Script().roll_deg)
    assert np.all(np.abs(angles).max(0) <= np.array(limits) + 0.1)
    assert np.all(np.abs(angles).max(0) >= 0.6 * np.array(limits))
    steps = [angle_deg(a, b) for a, b in zip(motion.rotation[:-1], motion.rotation[1:], strict=True)]
    assert max(steps) < 2.0, "no jump between frames"


def test_eyes_shut_at_the_blinks_only(motion: Motion) -> None:
    for at_s in BLINKS_S:
        near = round(at_s * motion.rate)
        assert motion.eye_opening[near - 1 : near + 2].min() == pytest.approx(SHUT, abs=0.02)
    quiet = motion.eye_opening[round(1.2 * motion.rate) : round(2.2 * motion.rate)]
    np.testing.assert_allclose(quiet, np.broadcast_to(motion.eye_opening[0], quiet.shape), atol=1e-3)


def test_without_speech_the_mouth_keeps_still(landmarks: np.ndarray) -> None:
    still = scripted_motion(landmarks, 512, 512, Script(speech=0.0, smile=0.0, brows=0.0))
    np.testing.assert_allclose(still.mouth_opening, still.mouth_opening[0], atol=0.015)
    assert float(np.abs(still.expression).max()) == 0.0


def test_survives_the_motion_file(motion: Motion, tmp_path: Path) -> None:
    path = tmp_path / "script.motion"
    write_motion(path, motion)
    read = read_motion(path)
    assert (read.rate, read.tracker, len(read)) == (motion.rate, "script", len(motion))
    np.testing.assert_array_equal(read.expression, motion.expression)


def test_closed_lips_meet(face: np.ndarray, shapes: FaceShapes) -> None:
    assert mouth_opening(face[:, :2]) > 0.1
    assert mouth_opening((face + shapes.closed)[:, :2]) < 1e-3
    # Doing it again does nothing: the lips are together already.
    again = face_shapes(face + shapes.closed).closed
    assert float(np.abs(again).max()) < 1e-3


def test_jaw_opens_the_mouth_and_spares_the_upper_face(face: np.ndarray, shapes: FaceShapes) -> None:
    opened = face + np.radians(10.0) * shapes.jaw
    assert mouth_opening(opened[:, :2]) > mouth_opening(face[:, :2]) + 0.1
    spared = [*lm.INNER_LIP_UPPER[1:-1], *lm.OUTER_LIP_UPPER[1:-1], *lm.RIGHT_LOWER_LID, lm.FOREHEAD, 1, 2]
    assert float(np.abs(shapes.jaw[spared]).max()) == 0.0
    moved = np.linalg.norm(opened - face, axis=1)
    assert moved[[lm.CHIN, 14]].min() > 0.09


def test_rounded_lips_are_narrower_and_a_smile_is_wider(face: np.ndarray, shapes: FaceShapes) -> None:
    def width(points: np.ndarray) -> float:
        return float(np.linalg.norm(points[291] - points[61]))

    assert width(face + shapes.rounded) < 0.9 * width(face)
    assert width(face + shapes.smile) > 1.08 * width(face)
    assert np.all((shapes.smile[[61, 291], 1]) < -0.03), "the corners rise"


def test_brows_rise_and_lids_stay(shapes: FaceShapes) -> None:
    for brow, lids in zip(lm.BROWS, lm.UPPER_LIDS, strict=True):
        assert shapes.brows[list(brow), 1].mean() < -0.04
        assert float(np.abs(shapes.brows[list(lids)]).max()) < 0.01


@pytest.mark.parametrize("name", ["jaw", "closed", "rounded", "smile", "brows"])
def test_shapes_are_smooth_over_the_mesh(face: np.ndarray, shapes: FaceShapes, name: str) -> None:
    """Neighbours move alike: no triangle that faces the camera is turned over by a full expression."""
    offset = getattr(shapes, name) * (np.radians(12.0) if name == "jaw" else 1.0)
    triangles = lm.surface_triangles()

    def area(points: np.ndarray) -> np.ndarray:
        a, b, c = (points[triangles[:, k], :2] for k in range(3))
        return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]

    a, b, c = (face[triangles[:, k]] for k in range(3))
    surface = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    before, after = area(face), area(face + offset)
    assert not np.any((before > 0.3 * surface) & (after < -1e-4))
