"""The side of a face that the photo hides, and turns that are eased."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIRROR
from avatarkit.geometry.rotation import angle_deg, from_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp import head_side
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.hidden import HiddenSide, _with_rim
from avatarkit.systems.landmark_warp.limits import (
    MOST_HIDDEN_TURN_DEG,
    MOST_TURN_DEG,
    TurnLimits,
    reposed,
)
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.protocol import SourceLayers

from ..conftest import SIZE, rasterised, without_motion

SKIN, BACKGROUND, EAR = (205, 150, 120), (20, 40, 220), (220, 60, 60)
FRONTAL = without_motion


def turned(landmarks: np.ndarray, yaw_deg: float) -> np.ndarray:
    """The face seen from the side; positive yaw turns the nose towards smaller x."""
    pose = head_frame(landmarks)
    level = replace(pose, rotation=from_euler_deg(yaw_deg, 0.0, 0.0))
    return level.apply(pose.apply_inverse(landmarks))


def in_pose(landmarks: np.ndarray, yaw_deg: float, roll_deg: float = 0.0) -> DriveFrame:
    still = without_motion(landmarks)
    return reposed(still, replace(still.pose, rotation=from_euler_deg(yaw_deg, 0.0, roll_deg)))


@pytest.fixture(scope="module")
def from_the_side(source: SourceLayers) -> SourceLayers:
    """A face of one colour, turned by 38 degrees; the landmarks of its far cheek reach into the background."""
    landmarks = turned(source.landmarks, 38.0)
    triangles = np.concatenate([lm.surface_triangles(), lm.opening_triangles()])
    face = rasterised(landmarks[triangles], (SIZE, SIZE)) > 0
    rim = int(np.flatnonzero(face.any(0))[0]) + 5
    face[:, :rim] = False
    picture = np.full((SIZE, SIZE, 3), BACKGROUND, np.uint8)
    picture[face] = SKIN
    return SourceLayers(picture, picture, face.astype(np.float32), landmarks)


def background_on_the_face(source: SourceLayers, engine: WarpEngine, yaw_deg: float) -> int:
    """Pixels well inside the drawn face that are transparent or show the background's colour."""
    motion = in_pose(source.landmarks, yaw_deg)
    frame, alpha = engine.draw(motion)
    drawn = reposed(motion, engine.eased(motion).pose)
    inside = rasterised(drawn.landmarks[lm.surface_triangles()], (SIZE, SIZE)) > 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    # What is between the lids and the lips is drawn by other layers.
    blue = frame[..., 2].astype(int) > frame[..., 0].astype(int)
    return int(np.count_nonzero(inside & (blue | (alpha < 128))))


def test_a_frontal_face_hides_nothing(source: SourceLayers) -> None:
    level = replace(source, landmarks=turned(source.landmarks, 0.0), alpha=np.ones_like(source.alpha))
    assert HiddenSide.of(level, FaceMesh(level.landmarks)) is None


def test_no_background_on_the_far_cheek(from_the_side: SourceLayers) -> None:
    engine = WarpEngine()
    engine.prepare(from_the_side)
    assert background_on_the_face(from_the_side, engine, 14.0) == 0
    engine._hidden = None  # without the other half the far cheek shows what lies behind it
    assert background_on_the_face(from_the_side, engine, 14.0) > 100


def test_an_averted_side_lends_nothing(from_the_side: SourceLayers) -> None:
    """Where the matte has lost the temple that is seen, the other one, which is not, has no colours for it."""
    alpha = from_the_side.alpha.copy()
    temple = from_the_side.landmarks[[389, 356, 454], :2]
    alpha[:, int(temple[:, 0].min()) - 8 :] = 0.0
    side = HiddenSide.of(replace(from_the_side, alpha=alpha), FaceMesh(from_the_side.landmarks))
    assert side is not None
    assert side.lending.lent[[389, 356, 454]].max() < 0.02


def test_nothing_shows_at_the_rim_of_the_far_cheek(from_the_side: SourceLayers) -> None:
    """Background that the far cheek covers is a bright line along its outline unless colours reach beyond it."""
    blue = replace(from_the_side, alpha=np.ones_like(from_the_side.alpha))
    engine = WarpEngine()
    engine.prepare(blue)
    motion = in_pose(blue.landmarks, 14.0)
    frame, _ = engine.draw(motion)
    cheek = rasterised(engine.eased(motion).landmarks[lm.surface_triangles()], (SIZE, SIZE)) > 0
    rows = np.flatnonzero(cheek.any(1))
    middle = rows[len(rows) // 4 : len(rows) // 2]
    rim = [frame[row, int(np.flatnonzero(cheek[row])[0])].astype(int) for row in middle]
    assert max(colour[2] - colour[0] for colour in rim) < 0


def test_the_lent_cheek_covers_what_softening_has_spread() -> None:
    mask, colours = np.zeros((9, 12), np.float32), np.zeros((9, 12, 3), np.uint8)
    mask[:, :5], colours[:, :5] = 1.0, 120
    grown, lent = _with_rim(mask, colours)
    np.testing.assert_allclose(grown[4, 4:9], [1.0, 1.0, 1.0 / 3.0, 0.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(lent[4, 4:7], 120.0, atol=0.1)


def test_the_photo_itself_is_left_alone(from_the_side: SourceLayers) -> None:
    engine = WarpEngine()
    engine.prepare(from_the_side)
    still = without_motion(from_the_side.landmarks)
    with_it = engine.draw(still)
    engine._hidden = None
    for one, other in zip(with_it, engine.draw(still), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lent_colours_are_in_the_light_of_their_side(from_the_side: SourceLayers) -> None:
    """Half as bright towards the hidden side: the twin's skin is dimmed, not copied."""
    picture = from_the_side.picture.copy()
    x = np.arange(SIZE)
    nose = from_the_side.landmarks[4, 0]
    light = np.clip(1.0 - (nose - x + 30.0) / 60.0, 0.4, 1.0)
    skin = from_the_side.alpha > 0
    picture[skin] = (picture * light[None, :, None])[skin].astype(np.uint8)
    dim = replace(from_the_side, picture=picture, foreground=picture)
    side = HiddenSide.of(dim, FaceMesh(dim.landmarks))
    assert side is not None
    lent = side.lending.lent > 0.95
    x, y = side.places[: lm.MESH][lent].round().astype(int).T
    level = side.texture[y, x, 0].mean() / SKIN[0]
    twins = side.places[MIRROR[: lm.MESH][lent]].round().astype(int)
    own = side.texture[twins[:, 1], twins[:, 0], 0].mean() / SKIN[0]
    assert level < own - 0.15


# Ear and hair beside the face.


def with_an_ear(source: SourceLayers) -> SourceLayers:
    """The same face with an ear of one colour on the side that is seen, on the right in the picture."""
    strip, _ = head_side.triangles()
    beside = head_side.points(source.landmarks, head_frame(source.landmarks))
    points = np.concatenate([source.landmarks[: lm.MESH], beside])
    ear = (rasterised(points[strip], (SIZE, SIZE)) > 0) & (source.alpha == 0.0)
    picture, alpha = source.picture.copy(), source.alpha.copy()
    picture[ear], alpha[ear] = EAR, 1.0
    return SourceLayers(picture, picture, alpha, source.landmarks)


def ears_to_the_left(source: SourceLayers, yaw_deg: float) -> int:
    """Opaque pixels of an ear's colour beside the drawn face, on its left."""
    engine = WarpEngine()
    engine.prepare(source)
    motion = in_pose(source.landmarks, yaw_deg)
    frame, alpha = engine.draw(motion)
    drawn = engine.eased(motion).landmarks
    face = rasterised(drawn[lm.surface_triangles()], (SIZE, SIZE)) > 0
    beside = cv2.dilate(face.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    red = (frame[..., 0].astype(int) > frame[..., 1].astype(int) + 90) & (alpha > 200) & beside
    return int(np.count_nonzero(red[:, : round(drawn[4, 0])]))


def test_the_other_ear_comes_into_view(from_the_side: SourceLayers) -> None:
    source = with_an_ear(from_the_side)
    assert ears_to_the_left(source, 38.0) == 0
    assert ears_to_the_left(source, 8.0) > 40


def test_hair_above_the_temple_comes_with_the_ear(from_the_side: SourceLayers) -> None:
    """Else the outline of a turned head has a step where the lent side begins."""
    source = with_an_ear(from_the_side)
    engine = WarpEngine()
    engine.prepare(source)
    motion = in_pose(source.landmarks, 8.0)
    frame, alpha = engine.draw(motion)
    drawn = engine.eased(motion).landmarks
    red = (frame[..., 0].astype(int) > frame[..., 1].astype(int) + 90) & (alpha > 200)
    height = drawn[lm.CHIN, 1] - drawn[10, 1]
    temple = drawn[54, :2].round().astype(int)
    assert np.count_nonzero(red[: temple[1], : temple[0]]) > 0.006 * height**2


def test_what_comes_into_view_is_no_veil(from_the_side: SourceLayers) -> None:
    """Half turned, the lent side is there or not: half transparent it would hang in the air beside the face."""
    source = with_an_ear(from_the_side)
    engine = WarpEngine()
    engine.prepare(source)
    veiled = []
    for yaw_deg in (32.0, 28.0, 24.0):
        motion = in_pose(source.landmarks, yaw_deg)
        _, alpha = engine.draw(motion)
        half = (alpha > 50) & (alpha < 205)
        half[:, round(engine.eased(motion).landmarks[4, 0]) :] = False
        veiled.append(np.count_nonzero(half) / np.count_nonzero(alpha > 50))
    assert max(veiled) < 0.012


def test_hair_beside_the_face_needs_no_second_ear(from_the_side: SourceLayers) -> None:
    source = with_an_ear(from_the_side)
    outline = int(np.flatnonzero(from_the_side.alpha.any(0))[0])
    hair = np.zeros((SIZE, SIZE), bool)
    hair[:, outline - round(0.15 * head_frame(source.landmarks).scale) : outline + 40] = True
    picture, alpha = source.picture.copy(), source.alpha.copy()
    hair &= alpha == 0.0
    picture[hair], alpha[hair] = (90, 80, 30), 1.0
    assert ears_to_the_left(replace(source, picture=picture, foreground=picture, alpha=alpha), 8.0) == 0


def test_an_ear_that_the_picture_cuts_off_ends_softly(from_the_side: SourceLayers) -> None:
    """No column of the strip's texture is a copy of the picture's last one at full strength."""
    source = with_an_ear(from_the_side)
    ear = np.flatnonzero((source.picture == EAR).all(2).any(0))
    cut = slice(0, int(ear.mean()))
    layers = replace(
        source, picture=source.picture[:, cut], foreground=source.picture[:, cut], alpha=source.alpha[:, cut]
    )
    whole, half = (HiddenSide.of(one, FaceMesh(one.landmarks)) for one in (source, layers))
    assert whole is not None
    assert half is not None
    opaque = [int(np.count_nonzero(side.texture[..., 3] > 250)) for side in (whole, half)]
    assert 0 < opaque[1] < opaque[0]


# Turns.


@pytest.mark.parametrize("yaw_deg", [-80.0, -60.0, -20.0, 10.0, 19.0, 70.0])
def test_turns_end_where_the_photo_ends(source: SourceLayers, yaw_deg: float) -> None:
    landmarks = turned(source.landmarks, 0.0)
    limits = TurnLimits(np.eye(3), None)
    motion = in_pose(landmarks, yaw_deg, roll_deg=15.0)
    eased = limits.eased(motion)
    roll = from_euler_deg(0.0, 0.0, 15.0)
    left = angle_deg(np.eye(3), eased.pose.rotation @ roll.T)
    if abs(yaw_deg) < 21.0:
        assert eased is motion
    else:
        assert left < MOST_TURN_DEG
        assert left < abs(yaw_deg) - 5.0
        expected = from_euler_deg(np.sign(yaw_deg) * left, 0.0, 0.0) @ roll
        np.testing.assert_allclose(eased.pose.rotation, expected, atol=1e-6)
    np.testing.assert_allclose(
        eased.pose.apply_inverse(eased.landmarks), motion.pose.apply_inverse(motion.landmarks), atol=1e-9
    )


def test_rolls_are_free(source: SourceLayers) -> None:
    motion = in_pose(turned(source.landmarks, 0.0), 0.0, roll_deg=70.0)
    eased = TurnLimits(np.eye(3), None).eased(motion)
    np.testing.assert_allclose(eased.pose.rotation, motion.pose.rotation, atol=1e-9)


def test_a_hidden_side_bears_less(from_the_side: SourceLayers) -> None:
    side = HiddenSide.of(from_the_side, FaceMesh(from_the_side.landmarks))
    own = head_frame(from_the_side.landmarks).rotation
    limits = TurnLimits(own, side)
    towards = limits.eased(in_pose(from_the_side.landmarks, 38.0 - 60.0))
    away = limits.eased(in_pose(from_the_side.landmarks, 38.0 + 30.0))
    assert angle_deg(own, towards.pose.rotation) < MOST_HIDDEN_TURN_DEG
    assert angle_deg(own, away.pose.rotation) > 28.0


def test_the_summary_says_that_turns_were_eased(from_the_side: SourceLayers) -> None:
    engine = WarpEngine()
    engine.prepare(from_the_side)
    engine.draw(in_pose(from_the_side.landmarks, -30.0))
    (line,) = engine.notices()
    assert "1 of 1 frames it turns less" in line
    assert engine.notices() == ()
