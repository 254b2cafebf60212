"""Head coordinates, and the numbers measured on a face."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import angle_deg, from_euler_deg
from avatarkit.head.coordinates import eye_axes, eye_opening, gaze, head_frame, measure, mouth_opening

from .conftest import Pose, with_eyes, with_gaze, with_mouth

POSES = [Pose(), Pose(yaw_deg=30), Pose(-20, 15, 10, 40, -30, 0.5), Pose(5, -25, 70, -500, 900, 3.0)]


@pytest.mark.parametrize("pose", POSES)
def test_frame_moves_with_the_face(pose: Pose, face: np.ndarray) -> None:
    before = head_frame(face)
    after = head_frame(pose.move(face, before.translation))
    assert angle_deg(after.rotation @ before.rotation.T, pose.rotation) < 1e-6
    np.testing.assert_allclose(after.translation - before.translation, (pose.dx, pose.dy, 0.0), atol=1e-8)
    assert after.scale / before.scale == pytest.approx(pose.scale)


@pytest.mark.parametrize("pose", POSES)
def test_shape_is_free_of_the_pose_and_comes_back(pose: Pose, face: np.ndarray) -> None:
    moved = pose.move(face, np.zeros(3))
    shape = head_frame(moved).apply_inverse(moved)
    np.testing.assert_allclose(shape, head_frame(face).apply_inverse(face), atol=1e-9)
    np.testing.assert_allclose(head_frame(moved).apply(shape), moved, atol=1e-7)


def test_axes_and_unit_of_a_real_face(face: np.ndarray) -> None:
    frame = head_frame(face)
    assert angle_deg(frame.rotation, np.eye(3)) < 25.0
    shape = frame.apply_inverse(face)
    assert shape[lm.OUTER_EYE_CORNERS[1], 0] > 0.3
    assert shape[lm.OUTER_EYE_CORNERS[0], 0] < -0.3
    assert shape[lm.CHIN, 1] > shape[lm.FOREHEAD, 1] + 1.0
    assert shape[4, 2] < -0.3
    right, left = shape[list(lm.OUTER_EYE_CORNERS)]
    assert np.linalg.norm(left - right) == pytest.approx(1.0, abs=0.15)


def test_expression_leaves_the_frame_alone(face: np.ndarray) -> None:
    plain = head_frame(face)
    for changed in (with_mouth(face, 0.4), with_eyes(face, 0.0), with_gaze(face, 0.2)):
        frame = head_frame(changed)
        assert angle_deg(frame.rotation, plain.rotation) < 0.01
        np.testing.assert_allclose(frame.translation, plain.translation, atol=1e-9)
        assert frame.scale == pytest.approx(plain.scale)


def hand_made() -> np.ndarray:
    """Landmarks of which only eyes and mouth are set: eyes 40 wide, mouth 60 wide."""
    points = np.zeros((478, 3))
    for eye, (outer, inner) in enumerate(((100.0, 140.0), (240.0, 200.0))):
        points[lm.UPPER_LIDS[eye][0]] = points[lm.LOWER_LIDS[eye][0]] = (outer, 100, 0)
        points[lm.UPPER_LIDS[eye][-1]] = points[lm.LOWER_LIDS[eye][-1]] = (inner, 100, 0)
        for k, (upper, lower) in enumerate(
            zip(lm.UPPER_LIDS[eye][1:-1], lm.LOWER_LIDS[eye][1:-1], strict=True), 1
        ):
            x = outer + (inner - outer) * k / 8.0
            points[upper], points[lower] = (x, 94, 0), (x, 104, 0)
        points[lm.IRIS_CENTRES[eye]] = ((outer + inner) / 2.0, 100, 0)
    points[78], points[308] = (140, 180, 0), (200, 180, 0)
    for upper, lower in ((81, 178), (13, 14), (311, 402)):
        points[upper], points[lower] = (170, 177, 0), (170, 189, 0)
    return points


def test_measures_of_a_hand_made_face() -> None:
    points = hand_made()
    assert mouth_opening(points) == pytest.approx(12 / 60)
    np.testing.assert_allclose(eye_opening(points), [10 / 40] * 2)
    np.testing.assert_allclose(gaze(points), 0.0, atol=1e-12)
    state = measure(points)
    assert state.mouth_opening == pytest.approx(0.2)
    np.testing.assert_allclose(state.eye_opening, 0.25)


def test_gaze_counts_in_eye_widths_right_and_down() -> None:
    points = hand_made()
    points[468] += (8, 4, 0)
    points[473] += (-6, 2, 0)
    np.testing.assert_allclose(gaze(points), [[0.2, 0.1], [-0.15, 0.05]])


@pytest.mark.parametrize("angle", [-30.0, 45.0])
def test_measures_do_not_depend_on_roll_place_and_size(angle: float) -> None:
    points = hand_made()
    points[468] += (8, 4, 0)
    turned = 2.5 * points @ from_euler_deg(0, 0, angle).T + [300, -50, 7]
    np.testing.assert_allclose(gaze(turned), gaze(points), atol=1e-9)
    np.testing.assert_allclose(eye_opening(turned), eye_opening(points))
    assert mouth_opening(turned) == pytest.approx(mouth_opening(points))


@pytest.mark.parametrize("eye", [0, 1])
def test_eye_axes(eye: int) -> None:
    middle, along, width = eye_axes(hand_made(), eye)
    np.testing.assert_allclose(middle, (120 if eye == 0 else 220, 100))
    np.testing.assert_allclose(along, (1, 0), atol=1e-12)
    assert width == pytest.approx(40)


def test_collapsed_face_gives_finite_measures() -> None:
    points = np.zeros((478, 3))
    assert np.isfinite([mouth_opening(points), *eye_opening(points), *gaze(points).ravel()]).all()


def test_closing_and_opening_a_real_face(face: np.ndarray) -> None:
    assert mouth_opening(with_mouth(face, 0.3)) > mouth_opening(face) + 0.3
    np.testing.assert_allclose(eye_opening(with_eyes(face, 0.0)), 0.0, atol=1e-9)
    np.testing.assert_allclose(eye_opening(with_eyes(face, 0.5)), eye_opening(face) / 2)
    moved = gaze(with_gaze(face, 0.1)) - gaze(face)
    np.testing.assert_allclose(moved[:, 0], 0.1, atol=1e-9)
    np.testing.assert_allclose(moved[:, 1], 0.0, atol=1e-9)
