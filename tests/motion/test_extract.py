"""From landmarks to motion: known moves are recovered, gaps are filled, shots stay apart."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit.errors import InputError
from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import angle_deg, scaled
from avatarkit.motion import columns
from avatarkit.motion.columns import AT_SOURCE, HELD, INTERPOLATED, TRACKED, Motion
from avatarkit.motion.config import ON_MISSING
from avatarkit.motion.extract import extract, shot_ranges

from .conftest import INFO, STILL, Pose, motion_of, tracked, with_eyes, with_gaze, with_mouth

Posed = Callable[..., list[np.ndarray]]
A, B = Pose(yaw_deg=-20, dx=-30), Pose(yaw_deg=30, pitch_deg=10, dx=40, dy=20, scale=1.5)


def turn_deg(motion: Motion, row: int, other: int, pose: Pose, origin: Pose) -> float:
    """Angle between the motion's turn from row `other` to `row` and the known one."""
    found = motion.rotation[row].astype(float) @ motion.rotation[other].astype(float).T
    return angle_deg(found, pose.rotation @ origin.rotation.T)


def test_columns_have_the_promised_shapes(posed: Posed) -> None:
    motion = motion_of(posed([STILL] * 7), cuts=[4])
    shapes = {name: getattr(motion, name).shape for name in columns.COLUMNS}
    assert shapes == {
        "rotation": (7, 3, 3), "translation": (7, 3), "scale": (7,), "expression": (7, 478, 3),
        "mouth_opening": (7,), "eye_opening": (7, 2), "gaze": (7, 2, 2), "presence": (7,), "state": (7,),
        "shot": (7,), "identity": (2, 478, 3),
    }  # fmt: skip
    assert (len(motion), motion.rate, motion.width, motion.height) == (7, INFO.rate, INFO.width, INFO.height)
    assert (motion.driver, motion.tracker) == (INFO.name, INFO.tracker)
    np.testing.assert_allclose(np.linalg.det(motion.rotation), 1.0, atol=1e-5)
    assert (motion.cuts, motion.shot_ranges(), motion.missing) == ([4], [(0, 4), (4, 7)], 0)


def test_rigid_moves_are_recovered(posed: Posed) -> None:
    poses = [Pose(-20 + 2.0 * n, 10 - n, 0.5 * n, 3.0 * n, 40 - 2.0 * n, 1.0 + 0.01 * n) for n in range(21)]
    motion = motion_of(posed(poses))
    for row in range(21):
        assert turn_deg(motion, row, 0, poses[row], poses[0]) < 0.1, row
        shift = motion.translation[row] - motion.translation[0]
        np.testing.assert_allclose(
            shift[:2], (poses[row].dx - poses[0].dx, poses[row].dy - poses[0].dy), atol=0.1
        )
        assert motion.scale[row] / motion.scale[0] == pytest.approx(
            poses[row].scale / poses[0].scale, rel=1e-3
        )
    assert np.abs(motion.expression).max() < 2e-3
    np.testing.assert_allclose(motion.eye_opening, motion.eye_opening[[0]].repeat(21, 0), atol=1e-3)


def test_pose_is_that_of_the_landmarks(posed: Posed, frontal: np.ndarray) -> None:
    """Identity, expression and pose put together are the landmarks again."""
    faces = posed([A] * 6 + [B] * 6, [frontal] * 6 + [with_mouth(frontal, 0.3)] * 6)
    motion = motion_of(faces, cuts=[6])
    for row in (0, 5, 6, 11):
        shape = motion.identity[motion.shot[row]] + motion.expression[row]
        points = motion.scale[row] * shape @ motion.rotation[row].T + motion.translation[row]
        np.testing.assert_allclose(points, faces[row], atol=0.05)


def test_expression_is_recovered_apart_from_the_pose(posed: Posed, frontal: np.ndarray) -> None:
    """The mouth opens while the head turns and comes nearer: only lip rows change, by the same amount."""
    opened = with_mouth(frontal, 0.25)
    poses = [A] * 10 + [B] * 10
    plain = motion_of(posed(poses, [frontal] * 20))
    motion = motion_of(posed(poses, [frontal] * 10 + [opened] * 10))
    change = motion.expression[17] - motion.expression[2]
    lips = list(lm.OUTER_LIP_LOWER[1:-1])
    np.testing.assert_allclose(change[lips, 1], 0.25, atol=0.005)
    np.testing.assert_allclose(change[lips][:, [0, 2]], 0.0, atol=0.005)
    untouched = np.linalg.norm(opened - frontal, axis=1) < 1e-9
    np.testing.assert_allclose(change[untouched], 0.0, atol=0.005)
    assert angle_deg(motion.rotation[17], plain.rotation[17]) < 0.1
    assert motion.mouth_opening[17] > motion.mouth_opening[2] + 0.2


def test_eyes_and_gaze_are_measured(posed: Posed, frontal: np.ndarray) -> None:
    faces = [frontal] * 8 + [with_eyes(frontal, 0.25)] * 8 + [with_gaze(frontal, 0.12)] * 8
    motion = motion_of(posed([STILL] * 24, faces))
    np.testing.assert_allclose(motion.eye_opening[12] / motion.eye_opening[3], 0.25, atol=0.01)
    np.testing.assert_allclose(motion.gaze[20, :, 0] - motion.gaze[3, :, 0], 0.12, atol=0.005)
    np.testing.assert_allclose(motion.gaze[20, :, 1], motion.gaze[3, :, 1], atol=0.005)


def test_a_nod_is_no_blink(posed: Posed) -> None:
    motion = motion_of(posed([Pose(pitch_deg=20.0 * np.sin(n / 4)) for n in range(30)]))
    np.testing.assert_allclose(motion.eye_opening, motion.eye_opening[:1].repeat(30, 0), atol=2e-3)


# Frames without a face.


def gap_of(posed: Posed, length: int, on_missing: str, rate: Fraction = INFO.rate) -> Motion:
    faces = [*posed([A] * 12), *[None] * length, *posed([B] * 12)]
    return motion_of(faces, on_missing=on_missing, rate=rate)


def test_interpolation_goes_evenly_from_one_end_to_the_other(posed: Posed) -> None:
    motion = gap_of(posed, 9, "interpolate")
    assert motion.state.tolist() == [TRACKED] * 12 + [INTERPOLATED] * 9 + [TRACKED] * 12
    assert motion.missing == 9
    np.testing.assert_array_equal(motion.presence, 1.0)
    whole = motion.rotation[30].astype(float) @ motion.rotation[0].astype(float).T
    for step in range(3, 8):
        part = motion.rotation[11 + step].astype(float) @ motion.rotation[0].astype(float).T
        assert angle_deg(part, scaled(whole, step / 10)) < 0.05, step
        for name in ("translation", "scale"):
            values = getattr(motion, name)
            expected = values[0] + step / 10 * (values[30] - values[0])
            np.testing.assert_allclose(values[11 + step], expected, rtol=1e-3, atol=0.02)


def test_interpolation_halves_expression(posed: Posed, frontal: np.ndarray) -> None:
    faces = [frontal] * 8 + [None] * 7 + [with_mouth(frontal, 0.2)] * 8
    motion = motion_of(faces)
    half = (motion.expression[0] + motion.expression[-1]) / 2
    np.testing.assert_allclose(motion.expression[11], half, atol=1e-3)


def test_hold_stays_where_the_face_was_lost(posed: Posed) -> None:
    motion = gap_of(posed, 11, "hold")
    assert motion.state.tolist() == [TRACKED] * 12 + [HELD] * 11 + [TRACKED] * 12
    for row in range(12, 20):
        assert angle_deg(motion.rotation[row], motion.rotation[0]) < 0.05
        np.testing.assert_allclose(motion.translation[row], motion.translation[0], atol=0.05)
        np.testing.assert_allclose(motion.expression[row], motion.expression[0], atol=1e-3)


def test_source_fades_out_and_in(posed: Posed) -> None:
    motion = gap_of(posed, 41, "source")
    assert motion.state[12:53].tolist() == [AT_SOURCE] * 41
    presence = motion.presence
    np.testing.assert_array_equal(presence[:12], 1.0)
    np.testing.assert_array_equal(presence[53:], 1.0)
    assert presence[32] == 0.0
    assert np.all(np.diff(presence[11:33]) <= 0)
    assert np.all(np.diff(presence[32:54]) >= 0)
    assert np.abs(np.diff(presence)).max() < 0.35
    np.testing.assert_allclose(presence, presence[::-1], atol=1e-6)


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(30000, 1001), Fraction(60)])
def test_fade_takes_the_same_time_at_every_rate(posed: Posed, rate: Fraction) -> None:
    presence = gap_of(posed, 2 * round(rate) + 1, "source", rate).presence
    half_s = (np.flatnonzero(presence < 0.5)[0] - 11) / float(rate)
    assert 0.03 < half_s < 0.5


def test_fail_names_the_frame_and_its_time(posed: Posed) -> None:
    faces = [*posed([A] * 7), None, *posed([A] * 3)]
    with pytest.raises(
        InputError, match=r"driver\.mp4: no face in frame 7 \(0\.28 s\).*--on-missing"
    ) as error:
        motion_of(faces, on_missing="fail")
    assert "\n" not in str(error.value)
    assert len(motion_of(posed([A] * 4), on_missing="fail")) == 4


@pytest.mark.parametrize("on_missing", ["interpolate", "hold", "source"])
def test_ends_without_a_face_keep_the_nearest(posed: Posed, on_missing: str) -> None:
    motion = motion_of([None, None, *posed([A] * 6), *posed([B] * 6), None, None], on_missing=on_missing)
    assert len(motion) == 16
    assert angle_deg(motion.rotation[0], motion.rotation[3]) < 0.2
    assert angle_deg(motion.rotation[15], motion.rotation[12]) < 0.2


@pytest.mark.parametrize("on_missing", ["interpolate", "hold", "source"])
def test_gaps_never_look_across_a_cut(posed: Posed, on_missing: str) -> None:
    faces = [*posed([A] * 6), None, None, None, None, *posed([B] * 6)]
    for cut in (6, 8, 10):
        motion = motion_of(faces, cuts=[cut], on_missing=on_missing)
        assert motion.cuts == [cut]
        for row in range(16):
            end, pose = (0, A) if row < cut else (15, B)
            assert turn_deg(motion, row, end, pose, pose) < 0.01, (cut, row)
            np.testing.assert_allclose(motion.translation[row], motion.translation[end], atol=0.01)
            np.testing.assert_allclose(motion.expression[row], motion.expression[end], atol=1e-4)


def test_smoothing_does_not_reach_across_a_cut(posed: Posed) -> None:
    faces = [*posed([A] * 9), *posed([B] * 9)]
    cut, uncut = motion_of(faces, cuts=[9]), motion_of(faces)
    assert angle_deg(cut.rotation[8], cut.rotation[0]) < 0.01
    assert angle_deg(cut.rotation[9], cut.rotation[17]) < 0.01
    assert angle_deg(uncut.rotation[8], uncut.rotation[0]) > 0.3


@pytest.mark.parametrize(
    ("present", "cuts", "ranges"),
    [
        ("11111", [], [(0, 5)]),
        ("11111", [2], [(0, 2), (2, 5)]),
        ("11111", [0, 2, 2], [(0, 2), (2, 5)]),
        ("11000", [3], [(0, 5)]),
        ("00011", [2], [(0, 5)]),
        ("10001", [2, 3], [(0, 3), (3, 5)]),
        ("00100", [1, 2, 3], [(0, 5)]),
    ],
)
def test_shots_without_a_face_join_a_neighbour(
    present: str, cuts: list[int], ranges: list[tuple[int, int]]
) -> None:
    assert shot_ranges(np.array([flag == "1" for flag in present]), cuts) == ranges


@settings(max_examples=40)
@given(
    st.lists(st.booleans(), min_size=1, max_size=14).filter(any),
    st.sets(st.integers(0, 13)),
    st.sampled_from([mode for mode in ON_MISSING if mode != "fail"]),
)
def test_number_of_frames_never_changes(
    frontal: np.ndarray, present: list[bool], cuts: set[int], on_missing: str
) -> None:
    motion = motion_of([frontal if flag else None for flag in present], sorted(cuts), on_missing)
    assert {len(getattr(motion, name)) for name in columns.COLUMNS if name != "identity"} == {len(present)}
    assert motion.missing == present.count(False)
    assert len(motion.identity) == motion.shot.max() + 1
    for name in columns.COLUMNS:
        assert np.isfinite(getattr(motion, name)).all(), name


@pytest.mark.parametrize("size", [1, 3, 8])
def test_chunks_leave_no_seam(size: int, posed: Posed, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    poses = [Pose(*rng.normal(0, 5, 3), *rng.normal(0, 10, 2), 1 + 0.05 * rng.normal()) for _ in range(26)]
    faces: list[np.ndarray | None] = [points + rng.normal(0, 0.5, points.shape) for points in posed(poses)]
    faces[5:9] = [None] * 4
    faces[20] = None
    whole = motion_of(faces, cuts=[13])
    original, calls = columns.chunks, []

    def small(start: int, stop: int, _: int = size) -> object:
        calls.append((start, stop))
        return original(start, stop, size)

    monkeypatch.setattr(columns, "chunks", small)
    pieces = motion_of(faces, cuts=[13])
    assert calls
    for name in columns.COLUMNS:
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), atol=1e-6, err_msg=name)


def test_no_frames_and_no_face() -> None:
    with pytest.raises(InputError, match=r"driver\.mp4: no frames"):
        extract([], INFO, "interpolate")
    with pytest.raises(InputError, match=r"driver\.mp4: no face found in any of 5 frames"):
        extract(tracked([None] * 5), INFO, "interpolate")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_very_short_drivers(posed: Posed, count: int) -> None:
    motion = motion_of(posed([A] * count))
    assert len(motion) == count
    assert np.isfinite(motion.rotation).all()
