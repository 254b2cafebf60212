"""Eyes and mouth of a source under a driver's motion: gaze, whites, closed lips; footage of the source itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.face.visibility import Covered
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import eye_axes, eye_opening, gaze, head_frame
from avatarkit.motion.around_lips import AroundLips
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.irises import GAZE_GAIN, WHITE_BELOW
from avatarkit.motion.lids import CLOSED_EYE, winks
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import Framing, Transfer

from .conftest import IDENTITY, STILL, Pose, driven, motion_of, with_eyes, with_gaze, with_mouth

Posed = Callable[..., list[np.ndarray]]
# A driver in blocks of eight frames: neutral, looking aside.
NEUTRAL, ASIDE = 3, 11


@pytest.fixture(scope="module")
def motion(posed: Posed, frontal: np.ndarray) -> Motion:
    return motion_of(posed([STILL] * 16, [frontal] * 8 + [with_gaze(frontal, 0.1)] * 8))


@pytest.fixture(scope="module")
def source(frontal: np.ndarray) -> np.ndarray:
    """Another face elsewhere: broader, flatter, half as large again, slightly turned."""
    frame = head_frame(frontal)
    shape = frame.apply_inverse(frontal) * [1.08, 0.97, 0.9]
    return 1.5 * frame.scale * shape @ from_euler_deg(4, -3, -2).T + [420.0, 380.0, 10.0]


def test_a_screaming_source_starts_from_closed_lips_when_asked(motion: Motion, source: np.ndarray) -> None:
    def gap(points: np.ndarray) -> float:
        return float((points[list(lm.INNER_LIP_LOWER), 1] - points[list(lm.INNER_LIP_UPPER), 1]).max())

    screaming = with_mouth(source, 0.5)
    as_it_is, closed = (
        driven(motion, screaming, close_mouth=close)[NEUTRAL].landmarks for close in (False, True)
    )
    assert gap(as_it_is) > 0.4 * gap(screaming)
    assert gap(closed) < 0.1 * gap(screaming)


def test_both_eyes_look_where_one_noisy_eye_does_not(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    """One iris of the driver is thrown aside: a quarter of that reaches the eye, and the other hardly goes along."""
    off = frontal.copy()
    width = eye_axes(frontal, 0)[2]
    off[[lm.IRIS_CENTRES[0], *lm.IRIS_RIMS[0]], 0] += 0.1 * width
    forms = [frontal] * 8 + [off] * 8
    frames = driven(motion_of(posed([STILL] * 16, forms)), source, reference_frame="3")
    moved = gaze(frames[11].landmarks)[:, 0] - gaze(frames[3].landmarks)[:, 0]
    assert abs(moved[0] - moved[1]) < 0.3 * 0.1 * GAZE_GAIN


@pytest.mark.parametrize(("yaw_deg", "counts"), [(20.0, True), (-20.0, True), (55.0, False), (-55.0, False)])
def test_the_averted_eye_counts_for_gaze_while_it_is_seen(
    posed: Posed, frontal: np.ndarray, source: np.ndarray, yaw_deg: float, counts: bool
) -> None:
    """The iris of the eye that lies farther away moves alone: from it half of a common gaze, or none."""
    far = 0 if yaw_deg > 0 else 1
    aside = with_gaze(frontal, 0.1)
    only = frontal.copy()
    irises = [lm.IRIS_CENTRES[far], *lm.IRIS_RIMS[far]]
    only[irises] = aside[irises]
    turned = posed([Pose(yaw_deg=yaw_deg)] * 16, [frontal] * 8 + [only] * 8)
    frames = driven(motion_of(turned), source, reference_frame=str(NEUTRAL))
    near = 1 - far
    moved = float(gaze(frames[ASIDE].landmarks)[near, 0] - gaze(frames[NEUTRAL].landmarks)[near, 0])
    assert (moved > 0.025 * GAZE_GAIN) == counts


@pytest.mark.parametrize(("choice", "same"), [("auto", True), ("3", False)])
def test_gaze_means_the_same_in_all_shots(
    posed: Posed, frontal: np.ndarray, source: np.ndarray, choice: str, same: bool
) -> None:
    """In the second shot the driver looks aside all the time: so does the source, unless a reference was asked for."""
    faces = posed([STILL] * 16, [frontal] * 8 + [with_gaze(frontal, 0.1)] * 8)
    frames = driven(motion_of(faces, cuts=[8]), source, reference_frame=choice)
    moved = gaze(frames[ASIDE].landmarks)[:, 0] - gaze(source)[:, 0]
    assert np.all(moved > 0.08 * GAZE_GAIN) if same else np.all(np.abs(moved) < 0.02)


@pytest.mark.parametrize("doubtful", ["shut", "averted", "hidden"])
def test_gaze_ahead_is_told_by_open_seen_frontal_eyes(
    posed: Posed, frontal: np.ndarray, source: np.ndarray, doubtful: str
) -> None:
    """A second shot where the irises seem to lie nearer to the middle, but nothing shows that they do."""
    both = [*lm.IRIS_CENTRES, *lm.IRIS_RIMS[0], *lm.IRIS_RIMS[1]]
    aside = with_gaze(frontal, 0.1)
    aside[both, 1] += 0.1 * eye_axes(frontal, 0)[2]
    first = [aside.copy() for _ in range(8)]
    for number, face in enumerate(first):  # no tracked irises lie quite still
        face[lm.IRIS_CENTRES[0], 0] += 0.2 * (-1) ** number
    second, pose = (with_eyes(frontal, 0.1) if doubtful == "shut" else frontal), STILL
    if doubtful == "averted":
        pose = Pose(yaw_deg=40.0)
        second = with_gaze(frontal, -float(gaze(posed([pose])[0])[:, 0].mean()))
    motion = motion_of(posed([STILL] * 8 + [pose] * 8, [*first, *[second] * 8]), cuts=[8])
    ahead = np.abs(motion.gaze[[NEUTRAL, ASIDE], :, 0].mean(1))
    assert ahead[1] < ahead[0] - 0.02
    np.testing.assert_allclose(gaze(driven(motion, source)[NEUTRAL].landmarks), gaze(source), atol=0.02)


def test_no_more_white_below_the_iris_than_an_eye_shows(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    """An iris reported far up, with lids that stay, would roll the eye up."""
    up = frontal.copy()
    width = eye_axes(frontal, 0)[2]
    irises = [*lm.IRIS_CENTRES, *lm.IRIS_RIMS[0], *lm.IRIS_RIMS[1]]
    up[irises, 1] -= 0.15 * width
    frames = driven(motion_of(posed([STILL] * 16, [frontal] * 8 + [up] * 8)), source, reference_frame="3")
    for eye, (centre, rim) in enumerate(zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)):
        white = []
        for points in (source, frames[11].landmarks):
            lower = points[lm.LOWER_LIDS[eye][4], 1]
            radius = np.linalg.norm(points[list(rim), :2] - points[centre, :2], axis=1).mean()
            white.append((lower - points[centre, 1] - radius) / eye_axes(points, eye)[2])
        assert white[1] < max(white[0], 0.0) + WHITE_BELOW + 0.03


def test_gaze_follows_by_the_share_that_the_tracker_underreports(motion: Motion, source: np.ndarray) -> None:
    frame = driven(motion, source)[ASIDE]
    moved = gaze(frame.landmarks) - gaze(source)
    np.testing.assert_allclose(moved[:, 0] / GAZE_GAIN, 0.1, atol=0.02)
    np.testing.assert_allclose(moved[:, 1] / GAZE_GAIN, 0.0, atol=0.02)
    for eye, (centre, rim) in enumerate(zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)):
        _, _, width = eye_axes(frame.landmarks, eye)
        _, _, own_width = eye_axes(source, eye)
        radius = np.linalg.norm(frame.landmarks[list(rim), :2] - frame.landmarks[centre, :2], axis=1) / width
        own = np.linalg.norm(source[list(rim), :2] - source[centre, :2], axis=1) / own_width
        np.testing.assert_allclose(radius, own, rtol=0.01)


def test_irises_stay_within_the_eye(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    motion = motion_of(posed([STILL] * 16, [frontal] * 8 + [with_gaze(frontal, 0.6)] * 8))
    frame = driven(motion, source, strength=2.0, reference_frame="0")[12]
    assert np.abs(gaze(frame.landmarks)).max() < 0.45


def test_what_is_covered_stays(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    """Behind a mask the lips keep their shape while eyes move; behind dark glasses the other way round."""
    acted = with_mouth(with_gaze(frontal, 0.1), 0.2)
    motion = motion_of(posed([STILL] * 16, [frontal] * 8 + [acted] * 8))
    lips = [*lm.INNER_LIP_LOWER, *lm.OUTER_LIP_UPPER]
    for covered in (Covered(mouth=True), Covered(eyes=True)):
        transfer = Transfer(motion, source, MotionConfig(reference_frame="3"), Framing(1.0, 0.0, 0.0), covered)
        neutral, moved = (transfer.frame(index).landmarks for index in (NEUTRAL, ASIDE))
        lips_moved = np.abs(moved[lips] - neutral[lips]).max() / head_frame(source).scale
        look_moved = np.abs(gaze(moved) - gaze(neutral)).max()
        assert bool(lips_moved < 0.005) == covered.mouth
        assert bool(look_moved < 0.005) == covered.eyes


def test_the_same_persons_footage_needs_no_frame_like_the_still(posed: Posed, frontal: np.ndarray) -> None:
    """Every frame has an open mouth, and the mean face of such a take lies elsewhere in the head."""
    still = posed([STILL], [frontal])[0]
    turned = Pose(yaw_deg=-16, pitch_deg=6, roll_deg=5, dx=12, dy=-8, scale=1.2)
    faces = posed([STILL, turned] * 8, [with_mouth(frontal, 0.2)] * 16)
    motion = motion_of(faces)
    frames = [Transfer(motion, still, MotionConfig(mode="absolute"), IDENTITY, same_person=True).frame(3)]
    frames += [Transfer(motion, still, MotionConfig(mode="absolute"), IDENTITY).frame(3)]
    # Skin gives way before the lips.
    others = np.setdiff1d(np.arange(lm.MESH), AroundLips.of(head_frame(still).apply_inverse(still)).points)
    apart = [np.abs(frame.landmarks[others, :2] - landmarks_of(motion, 3)[others, :2]).max() for frame in frames]
    assert apart[0] < 2.0
    assert apart[1] > 5.0


def test_the_opening_of_a_gaping_mouth_is_round(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    """Trackers outline it as a lens."""
    gaping = with_mouth(frontal, 0.3)
    upper, lower = list(lm.INNER_LIP_UPPER), list(lm.INNER_LIP_LOWER)
    tent = (1.0 - np.abs(np.linspace(-1.0, 1.0, len(lower))))[:, None]
    gaping[lower] = frontal[lower] + tent * (gaping[14] - frontal[14])
    motion = motion_of(posed([STILL] * 16, [frontal] * 8 + [gaping] * 8))
    frame = Transfer(motion, source, MotionConfig(), IDENTITY).frame(12)
    shape = frame.pose.apply_inverse(frame.landmarks)
    gap = (shape[lower, 1] - shape[upper, 1]) / (shape[14, 1] - shape[13, 1])
    assert (gap[[1, 2, -2, -3]] > 1.3 * tent[[1, 2, -2, -3], 0]).all()


def test_half_shut_eyes_stay_half_open(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    shut = CLOSED_EYE / eye_opening(frontal).mean()
    shares = shut + (1.0 - shut) * np.repeat([1.0, 1.0, 1.0, 0.5, 0.1], 13)
    motion = motion_of(posed([STILL] * 65, [with_eyes(frontal, share) for share in shares]))
    openness = [frame.eye_openness.mean() for frame in driven(motion, source)]
    np.testing.assert_allclose(openness[32::13], [1.0, 0.5, 0.0], atol=0.03)


@pytest.mark.parametrize("eye", [0, 1])
@pytest.mark.parametrize(("frames", "apart"), [(2, False), (9, True)])
def test_eyes_close_alike_unless_one_of_them_winks(
    posed: Posed, frontal: np.ndarray, source: np.ndarray, eye: int, frames: int, apart: bool
) -> None:
    """A tracker that sees one lid open for a moment while both shut is wrong; one that goes on seeing so is not."""
    shut, uneven = with_eyes(frontal, 0.0), with_eyes(frontal, 0.0)
    ring = [*lm.UPPER_LIDS[eye], *lm.LOWER_LIDS[eye]]
    uneven[ring] = with_eyes(frontal, 0.75)[ring]
    blink = [shut] * 5 + [uneven] * frames + [shut] * 5
    driven_frames = driven(motion_of(posed([STILL] * (16 + len(blink)), [frontal] * 16 + blink)), source)
    openness = driven_frames[16 + 5 + frames // 2].eye_openness
    assert openness[1 - eye] < 0.15
    assert (openness[eye] > 0.6) == apart
    assert (openness[eye] < 0.15) != apart


def test_uneven_open_eyes_are_no_wink(posed: Posed, frontal: np.ndarray, source: np.ndarray) -> None:
    wide = with_eyes(frontal, 1.5)
    ring = [*lm.UPPER_LIDS[0], *lm.LOWER_LIDS[0]]
    wide[ring] = frontal[ring]
    openness = driven(motion_of(posed([STILL] * 32, [frontal] * 22 + [wide] * 10)), source)[27].eye_openness
    assert abs(openness[0] - openness[1]) < 0.02


def test_a_wink_begins_and_ends_with_its_shot() -> None:
    uneven = np.array([[1.0, 1.0]] * 20 + [[0.0, 1.0]] * 2)
    assert winks(uneven, [(0, 20), (20, 22)], 25.0).tolist() == [0.0] * 20 + [1.0] * 2
