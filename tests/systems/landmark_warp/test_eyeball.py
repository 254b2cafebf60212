"""A source's eyeball, completed: a white that stays, and an iris that moves over it and takes nothing along."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame, EyePatch
from avatarkit.systems.landmark_warp.eyeball import Eyeball, _white, eyeball, lid_shadow
from avatarkit.systems.landmark_warp.openings import heights, smooth_curve
from avatarkit.systems.landmark_warp.tones import Tones
from avatarkit.systems.landmark_warp.wide_irises import Disc

from .conftest import SKIN, WHITE, near

RED, DARK = (205, 140, 130), (20, 15, 15)
REST = Disc(np.array([0.0, -0.04]), 0.18)
TONES = Tones(np.array(SKIN, np.float32), 1.0, np.zeros(3), np.ones(3))
BESIDE = (-0.23, -0.04)
"""Between the iris and its corner, in eye coordinates."""


def with_spot(
    picture: np.ndarray, landmarks: np.ndarray, colour: tuple[int, int, int], place: tuple[float, float] = BESIDE
) -> np.ndarray:
    """The face with a spot beside the right iris."""
    axes = EyeFrame.of(landmarks, 0)
    spot = axes.middle + axes.width * (place[0] * axes.along + place[1] * axes.across)
    painted = picture.copy()
    cv2.circle(painted, spot.round().astype(int).tolist(), 2, colour, -1)
    return painted


def right_eye(picture: np.ndarray, landmarks: np.ndarray) -> tuple[Eyeball, EyePatch]:
    """The completed eyeball, and the patch that it is made of."""
    patch = EyePatch.cut(picture, landmarks, 0, head_frame(landmarks).scale)
    return eyeball(patch, landmarks, 0, REST, TONES), patch


def middle_of(ball: Eyeball, aside: float = 0.0, opened: float = 1.0) -> np.ndarray:
    """What is seen (33, 81, 3) of the middle of an eye, its iris so many eye widths aside."""
    a, b = np.meshgrid(np.linspace(-0.4, 0.4, 81), np.linspace(-0.12, 0.04, 33))
    local = np.stack([a, b], axis=2).astype(np.float32)
    return ball.look(local, ball.tracked + np.array([aside, 0.0]), opened)


@pytest.mark.parametrize("colour", [WHITE, RED, DARK])
def test_at_rest_the_eye_is_as_in_the_picture(
    picture: np.ndarray, landmarks: np.ndarray, colour: tuple[int, int, int]
) -> None:
    ball, patch = right_eye(with_spot(picture, landmarks, colour), landmarks)
    plain = EyePatch.cut(picture, landmarks, 0, head_frame(landmarks).scale)
    local = patch.local.astype(np.float32)
    upper = EyeFrame.of(landmarks, 0).local(smooth_curve(landmarks[list(lm.UPPER_LIDS[0]), :2]))
    inside = (np.abs(local[..., 0]) < 0.35) & (np.abs(local[..., 1] + 0.02) < 0.06)
    drawn = ball.look(local, ball.tracked, 1.0) * lid_shadow(local[..., 1] - heights(upper, local[..., 0]))[..., None]
    error = np.abs(drawn - patch.pixels)[inside]
    assert error.mean() < 1.0
    if colour != WHITE:  # the spot itself is there
        assert error.mean() < 0.2 * np.abs(plain.pixels - patch.pixels)[inside].mean()


def test_what_is_beside_an_iris_is_not_drawn_out_as_it_moves(picture: np.ndarray, landmarks: np.ndarray) -> None:
    ball, _ = right_eye(with_spot(picture, landmarks, RED, (-0.34, -0.02)), landmarks)
    rest, aside = (np.count_nonzero(near(middle_of(ball, by)[:, :40], RED, 40.0)) for by in (0.0, 0.25))
    assert rest > 40
    assert 0.5 * rest < aside < 1.1 * rest


def test_dark_lashes_beside_an_iris_neither_move_with_it_nor_stay_without_it(
    picture: np.ndarray, landmarks: np.ndarray
) -> None:
    ball, _ = right_eye(with_spot(picture, landmarks, DARK), landmarks)
    rest, aside, wide = (
        np.count_nonzero(middle_of(ball, *how).max(2)[:, :50] < 90) for how in ((0.0, 1.0), (0.2, 1.0), (0.0, 1.4))
    )
    assert rest > 40
    assert aside < 0.2 * rest
    assert wide < 0.2 * rest


def test_what_is_light_on_a_dark_iris_does_not_shine_on_the_white_behind_it(
    picture: np.ndarray, landmarks: np.ndarray
) -> None:
    _, patch = right_eye(picture, landmarks)
    dark = np.where(np.linalg.norm(patch.local - REST.middle, axis=2) < REST.radius, 0.1, 1.0)
    margin = np.where(patch.local[..., 1] < REST.middle[1] - 0.7 * REST.radius, 3.0, 1.0)
    layers = (patch.with_pixels(np.float32(value)[..., None] * np.ones(3, np.float32)) for value in (dark, margin))
    ball = Eyeball(patch.with_pixels(np.full_like(patch.pixels, 200.0)), *layers, REST.middle, REST.radius, 0.2)
    above = np.array([[0.0, -0.8 * REST.radius]], np.float32)[None] + REST.middle.astype(np.float32)
    lower = REST.middle + np.array([0.0, 0.35 * REST.radius])
    rest, moved = (float(ball.look(above, centre, 1.0).max()) for centre in (REST.middle, lower))
    assert rest == pytest.approx(60.0, abs=2.0)
    assert moved < 204.0


def test_behind_the_iris_is_white(picture: np.ndarray, landmarks: np.ndarray) -> None:
    ball, _ = right_eye(picture, landmarks)
    left = middle_of(ball, 0.2)[:, 5:30]
    assert np.abs(left.mean((0, 1)) - WHITE).max() < 30
    assert left.std(axis=(0, 1)).max() < 12


def test_white_that_comes_into_view_is_as_shaded_as_the_white_beside_it() -> None:
    seen = np.zeros((60, 90), bool)
    seen[25:35, 10:80] = True
    shade = np.linspace(0.5, 1.0, 90, dtype=np.float32)
    lit = np.broadcast_to(200.0 * shade[None, :, None], (60, 90, 3)).astype(np.float32)
    beside = np.ones_like(seen)
    white, _ = _white(lit, seen, beside, np.ones((60, 90), np.float32), TONES)
    above = white[5, 15:75].mean(1)
    np.testing.assert_allclose(above, 200.0 * shade[15:75], atol=8.0)
    assert (np.diff(above) > 0).all()


def test_lashes_at_a_corner_do_not_tell_the_light_of_the_white() -> None:
    """Beside them the white is hidden; it is as light as where it is seen."""
    seen = np.zeros((60, 90), bool)
    seen[25:35, 10:80] = True
    lit = np.full((60, 90, 3), 200.0, np.float32)
    lit[:, :25] = 40.0
    beside = np.ones_like(seen)
    white, like = _white(lit, seen, beside, np.ones((60, 90), np.float32), TONES)
    assert white[5, 10:25].min() > 180.0
    assert like[30, 15] < 0.1 < 0.9 < like[30, 60]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("glint", [False, True])
def test_black_between_the_lids_is_an_eye_that_shows_no_white(
    picture: np.ndarray, landmarks: np.ndarray, glint: bool
) -> None:
    black = picture.copy()
    ring = landmarks[list(lm.ring(lm.UPPER_LIDS[0], lm.LOWER_LIDS[0])), :2].round().astype(np.int32)
    cv2.fillPoly(black, [ring], (0, 0, 0))
    cv2.polylines(black, [ring], True, (0, 0, 0), 9)
    if glint:
        cv2.circle(black, landmarks[lm.IRIS_CENTRES[0], :2].round().astype(int).tolist(), 1, (255, 255, 255), -1)
    ball, _ = right_eye(black, landmarks)
    for patch in (ball.white, ball.iris_light, ball.remains):
        assert np.isfinite(patch.pixels).all()
    assert (middle_of(ball).mean(2).max() > 150.0) == glint
    assert np.median(middle_of(ball)) < 12.0
