"""Motion on a source face: what follows the driver, what stays, and within which limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.face.visibility import Covered
from avatarkit.geometry.rotation import angle_deg, from_euler_deg
from avatarkit.head.coordinates import gaze, head_frame
from avatarkit.motion.around_lips import AroundLips
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import REGIONS, MotionConfig, check
from avatarkit.motion.transfer import Framing, Transfer

from .conftest import IDENTITY, STILL, Pose, driven, motion_of, with_eyes, with_gaze, with_mouth

Posed = Callable[..., list[np.ndarray]]
# A driver in blocks of eight frames: neutral, turned and nearer, mouth open, eyes closed, looking aside.
NEUTRAL, TURNED, OPENED, CLOSED, ASIDE = 3, 11, 19, 27, 35
LIPS = [*lm.INNER_LIP_LOWER[1:-1], *lm.OUTER_LIP_LOWER[1:-1]]
LIDS = [i for lids in (*lm.UPPER_LIDS, *lm.LOWER_LIDS) for i in lids[1:-1]]
IRISES = [*lm.IRIS_CENTRES, *lm.IRIS_RIMS[0], *lm.IRIS_RIMS[1]]
NO_IRIS = [i for i in range(478) if i not in IRISES]
TURN = Pose(yaw_deg=-16, pitch_deg=6, roll_deg=5, dx=12, dy=-8, scale=1.2)


@pytest.fixture(scope="module")
def driver_faces(posed: Posed, frontal: np.ndarray) -> list[np.ndarray]:
    forms = [frontal, frontal, with_mouth(frontal, 0.2), with_eyes(frontal, 0.1), with_gaze(frontal, 0.1)]
    poses = [STILL, TURN, STILL, STILL, STILL]
    return posed([pose for pose in poses for _ in range(8)], [form for form in forms for _ in range(8)])


@pytest.fixture(scope="module")
def motion(driver_faces: list[np.ndarray]) -> Motion:
    return motion_of(driver_faces)


@pytest.fixture(scope="module")
def source(frontal: np.ndarray) -> np.ndarray:
    """Another face elsewhere: broader, flatter, half as large again, slightly turned."""
    frame = head_frame(frontal)
    shape = frame.apply_inverse(frontal) * [1.08, 0.97, 0.9]
    return 1.5 * frame.scale * shape @ from_euler_deg(4, -3, -2).T + [420.0, 380.0, 10.0]


def shape_of(landmarks: np.ndarray, pose: object) -> np.ndarray:
    return pose.apply_inverse(landmarks)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
@pytest.mark.parametrize("region", REGIONS)
def test_strength_zero_is_the_source(motion: Motion, source: np.ndarray, mode: str, region: str) -> None:
    for frame in driven(motion, source, Framing(1.3, 5, 9), strength=0.0, mode=mode, region=region)[::5]:
        np.testing.assert_allclose(frame.landmarks, source, atol=1e-6)
        np.testing.assert_array_equal(frame.eye_openness, 1.0)


def test_reference_frame_is_the_source(motion: Motion, source: np.ndarray) -> None:
    transfer = Transfer(motion, source, MotionConfig(), IDENTITY)
    (reference,) = transfer.references
    frame = transfer.frame(reference)
    np.testing.assert_allclose(frame.landmarks, source, atol=0.1)
    np.testing.assert_allclose(frame.eye_openness, 1.0, atol=0.01)
    assert frame.index == reference


def test_one_drive_frame_for_each_frame(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source)
    assert [frame.index for frame in frames] == list(range(len(motion)))
    for frame in frames:
        assert frame.landmarks.shape == (478, 3)
        assert np.isfinite(frame.landmarks).all()
        assert frame.eye_openness.shape == (2,)


def test_frames_do_not_depend_on_each_other(motion: Motion, source: np.ndarray) -> None:
    transfer = Transfer(motion, source, MotionConfig(), IDENTITY)
    first = transfer.frame(TURNED).landmarks.copy()
    transfer.frame(OPENED)
    np.testing.assert_array_equal(transfer.frame(TURNED).landmarks, first)


def test_the_source_given_is_left_alone(motion: Motion, source: np.ndarray) -> None:
    before = source.copy()
    driven(motion, source)
    np.testing.assert_array_equal(source, before)


# What each region moves.


def test_the_head_follows(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source)
    still, moved = frames[NEUTRAL].pose, frames[TURNED].pose
    assert angle_deg(moved.rotation @ still.rotation.T, TURN.rotation) < 0.3
    assert moved.scale / still.scale == pytest.approx(1.2, rel=0.01)
    # Shifts count in sizes of the head: a driver's 12 px are more on a larger source.
    ratio = head_frame(source).scale / motion.scale[NEUTRAL]
    shift = (moved.translation - still.translation)[:2]
    np.testing.assert_allclose(shift, np.array([12, -8]) * ratio, rtol=0.1, atol=1.0)


def test_region_pose_leaves_the_expression(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source, region="pose")
    own = shape_of(source, head_frame(source))
    for frame in frames[::3]:
        np.testing.assert_allclose(shape_of(frame.landmarks, frame.pose)[NO_IRIS], own[NO_IRIS], atol=1e-9)
        np.testing.assert_array_equal(frame.eye_openness, 1.0)
        np.testing.assert_allclose(gaze(frame.landmarks), gaze(source), atol=1e-6)
    turn = frames[TURNED].pose.rotation @ frames[NEUTRAL].pose.rotation.T
    assert angle_deg(turn, TURN.rotation) < 0.3


@pytest.mark.parametrize("region", ["expression", "eyes", "mouth"])
def test_other_regions_leave_the_pose(motion: Motion, source: np.ndarray, region: str) -> None:
    own = head_frame(source)
    for frame in driven(motion, source, region=region):
        np.testing.assert_allclose(frame.pose.rotation, own.rotation, atol=1e-9)
        np.testing.assert_allclose(frame.pose.translation, own.translation, atol=1e-9)
        assert frame.pose.scale == pytest.approx(own.scale)


def test_region_expression_opens_mouth_and_closes_eyes(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source, region="expression")
    drop = shape_of(frames[OPENED].landmarks, frames[OPENED].pose) - shape_of(source, head_frame(source))
    assert 0.1 < drop[LIPS, 1].mean() < 0.3
    assert frames[CLOSED].eye_openness.max() < 0.3


def test_region_mouth_leaves_the_eyes(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source, region="mouth")
    upper = [*LIDS, *IRISES, *lm.BROWS[0], *lm.BROWS[1]]
    for number in (NEUTRAL, OPENED, CLOSED, ASIDE):
        np.testing.assert_allclose(frames[number].landmarks[upper], source[upper], atol=0.05)
        np.testing.assert_array_equal(frames[number].eye_openness, 1.0)
    assert (frames[OPENED].landmarks - source)[LIPS, 1].min() > 5.0


def test_region_eyes_leaves_the_mouth(motion: Motion, source: np.ndarray) -> None:
    frames = driven(motion, source, region="eyes")
    mouth = [*LIPS, *lm.INNER_LIP_UPPER, *lm.OUTER_LIP_UPPER, lm.CHIN]
    for number in (NEUTRAL, OPENED, CLOSED, ASIDE):
        np.testing.assert_allclose(frames[number].landmarks[mouth], source[mouth], atol=0.05)
    assert frames[CLOSED].eye_openness.max() < 0.3
    assert np.all(gaze(frames[ASIDE].landmarks)[:, 0] > gaze(source)[:, 0] + 0.05)


def test_keep_scale(motion: Motion, source: np.ndarray) -> None:
    scales = {frame.pose.scale for frame in driven(motion, source, keep_scale=True)}
    assert max(scales) == pytest.approx(min(scales))
    assert max(scales) == pytest.approx(head_frame(source).scale)


# How far.


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_strength_scales_the_turn(motion: Motion, source: np.ndarray, strength: float) -> None:
    frame = driven(motion, source, strength=strength, region="pose")[TURNED]
    whole = angle_deg(np.eye(3), TURN.rotation)
    found = angle_deg(frame.pose.rotation, head_frame(source).rotation)
    assert found == pytest.approx(strength * whole, rel=0.02)
    assert frame.pose.scale / head_frame(source).scale == pytest.approx(1.2**strength, rel=0.02)


def test_strength_scales_the_mouth(motion: Motion, source: np.ndarray) -> None:
    drops = [
        (driven(motion, source, strength=strength, region="mouth")[OPENED].landmarks - source)[LIPS, 1].mean()
        for strength in (0.5, 1.0, 2.0)
    ]
    np.testing.assert_allclose(np.array(drops) / drops[1], [0.5, 1.0, 2.0], rtol=0.1)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
@pytest.mark.parametrize("angle", [-30.0, 12.5])
@pytest.mark.parametrize("name", ["yaw_deg", "pitch_deg", "roll_deg"])
def test_offsets_turn_by_that_many_degrees(
    motion: Motion, source: np.ndarray, mode: str, angle: float, name: str
) -> None:
    plain = driven(motion, source, mode=mode)
    turned = driven(motion, source, mode=mode, **{name: angle})
    for number in (NEUTRAL, TURNED, OPENED):
        between = plain[number].pose.rotation.T @ turned[number].pose.rotation
        expected = from_euler_deg(**dict.fromkeys(("yaw_deg", "pitch_deg", "roll_deg"), 0.0) | {name: angle})
        np.testing.assert_allclose(between, expected, atol=1e-9)


def test_positive_yaw_turns_the_nose_towards_smaller_x(motion: Motion, source: np.ndarray) -> None:
    frame = driven(motion, source, yaw_deg=30.0)[NEUTRAL]
    middle = source[list(lm.EARS), 0].mean()
    assert frame.landmarks[4, 0] - frame.landmarks[list(lm.EARS), 0].mean() < source[4, 0] - middle - 10


def test_relative_motion_ignores_where_the_driver_is(
    driver_faces: list[np.ndarray], motion: Motion, source: np.ndarray
) -> None:
    elsewhere = motion_of([1.7 * points + [300.0, -120.0, 40.0] for points in driver_faces])
    for one, other in zip(driven(motion, source)[::4], driven(elsewhere, source)[::4], strict=True):
        np.testing.assert_allclose(other.landmarks, one.landmarks, atol=0.05)
        np.testing.assert_allclose(other.eye_openness, one.eye_openness, atol=1e-3)


def test_absolute_motion_of_the_same_face_is_the_driver(driver_faces: list[np.ndarray], motion: Motion) -> None:
    frames = driven(motion, source := driver_faces[NEUTRAL], mode="absolute")
    # Skin gives way before the lips.
    others = list({*NO_IRIS} - {*LIDS, *AroundLips.of(head_frame(source).apply_inverse(source)).points})
    for number in (NEUTRAL, TURNED, OPENED, ASIDE):
        found, wanted = frames[number], driver_faces[number]
        assert angle_deg(found.pose.rotation, head_frame(wanted).rotation) < 0.3, number
        assert np.abs(found.landmarks[others] - wanted[others])[:, :2].max() < 2.0, number
        assert np.abs(found.landmarks[others] - wanted[others])[:, :2].mean() < 0.3, number


def test_framing_places_absolute_motion(driver_faces: list[np.ndarray], motion: Motion) -> None:
    source = driver_faces[NEUTRAL]
    plain = driven(motion, source, mode="absolute")[TURNED]
    framed = driven(motion, source, Framing(2.0, 30.0, -50.0), mode="absolute")[TURNED]
    np.testing.assert_allclose(
        framed.landmarks[:468, :2], 2.0 * plain.landmarks[:468, :2] + (30.0, -50.0), atol=0.1
    )


def test_head_stays_near_when_the_driver_walks_off(posed: Posed, source: np.ndarray) -> None:
    motion = motion_of(posed([Pose(dx=40.0 * n) for n in range(30)]))
    shifts = [
        frame.pose.translation[0] - head_frame(source).translation[0] for frame in driven(motion, source)
    ]
    assert np.ptp(shifts) < 3.0 * head_frame(source).scale
    assert np.all(np.diff(shifts) > -1e-6)


# Eyes and lips.


def test_closed_eyes_meet(motion: Motion, source: np.ndarray) -> None:
    frame = driven(motion, source)[CLOSED]
    for eye in range(2):
        upper, lower = list(lm.UPPER_LIDS[eye][1:-1]), list(lm.LOWER_LIDS[eye][1:-1])
        gap = np.linalg.norm(frame.landmarks[upper] - frame.landmarks[lower], axis=1)
        own = np.linalg.norm(source[upper] - source[lower], axis=1)
        np.testing.assert_allclose(gap / own, frame.eye_openness[eye], atol=0.02)
    assert frame.eye_openness.max() < 0.3


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_openness_stays_in_its_range(posed: Posed, frontal: np.ndarray, source: np.ndarray, strength: float) -> None:
    shares = np.concatenate([np.ones(12), np.zeros(8), np.full(8, 3.0), np.full(8, -1.0)])
    motion = motion_of(posed([STILL] * 36, [with_eyes(frontal, share) for share in shares]))
    openness = np.array([frame.eye_openness for frame in driven(motion, source, strength=strength)])
    assert 0.0 <= openness.min() <= openness.max() < 2.0
    assert openness[24].min() > 1.0


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_lips_never_cross(posed: Posed, frontal: np.ndarray, source: np.ndarray, strength: float) -> None:
    motion = motion_of(posed([STILL] * 16, [frontal] * 8 + [with_mouth(frontal, -0.2)] * 8))
    for frame in driven(motion, source, strength=strength, reference_frame="0"):
        shape = shape_of(frame.landmarks, frame.pose)
        gap = shape[list(lm.INNER_LIP_LOWER), 1] - shape[list(lm.INNER_LIP_UPPER), 1]
        assert gap.min() > -1e-9


@pytest.mark.parametrize("region", ["all", "expression", "mouth"])
@pytest.mark.parametrize("eyes", [False, True], ids=["eyes seen", "eyes covered"])
def test_a_mouth_gapes_no_wider_than_its_face_allows(
    posed: Posed, frontal: np.ndarray, source: np.ndarray, region: str, eyes: bool
) -> None:
    motion = motion_of(posed([STILL] * 16, [frontal] * 8 + [with_mouth(frontal, 0.6)] * 8))
    transfer = Transfer(motion, source, MotionConfig(region=region, strength=2.0), IDENTITY, Covered(eyes=eyes))
    frame = transfer.frame(12)
    shape = shape_of(frame.landmarks, frame.pose)
    width = np.linalg.norm(source[lm.OUTER_LIP_UPPER[0]] - source[lm.OUTER_LIP_UPPER[-1]]) / frame.pose.scale
    gap = shape[list(lm.INNER_LIP_LOWER), 1] - shape[list(lm.INNER_LIP_UPPER), 1]
    assert gap.max() < 0.8 * width


# Gaps, photos, still frames, options.


def test_without_presence_the_source_is_shown(motion: Motion, source: np.ndarray) -> None:
    presence = np.ones(len(motion), np.float32)
    presence[TURNED] = presence[OPENED] = 0.0
    faded = driven(replace(motion, presence=presence), source)
    for number in (TURNED, OPENED):
        np.testing.assert_allclose(faded[number].landmarks, source, atol=1e-6)
    assert np.abs(faded[TURNED - 1].landmarks - source).max() > 5.0


def test_a_photo_of_the_source_itself_changes_nothing(source: np.ndarray) -> None:
    (frame,) = driven(motion_of([source]), source)
    np.testing.assert_allclose(frame.landmarks[:, :2], source[:, :2], atol=1.0)
    np.testing.assert_allclose(frame.eye_openness, 1.0, atol=0.02)


def test_a_photo_gives_its_pose_and_its_open_mouth(
    posed: Posed, frontal: np.ndarray, source: np.ndarray
) -> None:
    (photo,) = posed([TURN], [with_mouth(frontal, 0.2)])
    (frame,) = driven(motion_of([photo]), source)
    assert angle_deg(frame.pose.rotation, head_frame(photo).rotation) < 5.0
    shape = shape_of(frame.landmarks, frame.pose)
    own = shape_of(source, head_frame(source))
    assert (shape - own)[list(lm.INNER_LIP_LOWER[3:8]), 1].mean() > 0.08


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "sideways"}, "--motion sideways"),
        ({"region": "nose"}, "--region nose"),
        ({"strength": -0.1}, "--strength -0.1"),
        ({"strength": 2.5}, "--strength 2.5"),
        ({"strength": float("nan")}, "--strength nan"),
        ({"yaw_deg": 91.0}, "--yaw-deg 91"),
        ({"pitch_deg": -200.0}, "--pitch-deg -200"),
        ({"roll_deg": float("inf")}, "--roll-deg inf"),
        ({"roll_deg": float("nan")}, "--roll-deg nan"),
    ],
)
def test_options_out_of_range(
    motion: Motion, source: np.ndarray, options: dict[str, object], text: str
) -> None:
    config = MotionConfig(**options)
    with pytest.raises(UsageError, match=text) as error:
        check(config)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=text):
        driven(motion, source, **options)
