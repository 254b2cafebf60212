"""FFHQ's alignment: the quad by hand, the picture beside Pillow's own quad transform."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from avatarkit.prepare.ffhq import Quad, align, quad_of


def face68(right_eye: tuple[float, float], left_eye: tuple[float, float], mouth: tuple[float, float]) -> np.ndarray:
    """Landmarks whose eyes and mouth have these middles; the rest is noise that must not count."""
    points = np.full((68, 2), 1e6)
    ring = np.array([(-3, 0), (-1, -1), (1, -1), (3, 0), (1, 1), (-1, 1)], float)
    points[36:42] = ring + right_eye
    points[42:48] = ring + left_eye
    points[48], points[54] = (mouth[0] - 5, mouth[1]), (mouth[0] + 5, mouth[1])
    return points


def test_quad_of_an_upright_face() -> None:
    # Eyes 60 apart: 2 x 60 = 120; mouth 80 below them: 1.8 x 80 = 144, which is more. Centre 8 below the eyes.
    quad = quad_of(face68((170, 200), (230, 200), (200, 280)))
    assert quad.side == pytest.approx(288)
    assert quad.corners == pytest.approx(np.array([(56, 64), (56, 352), (344, 352), (344, 64)], float))


def test_quad_by_the_distance_of_the_eyes() -> None:
    # Eyes 100 apart: 200; mouth 60 below: 108. Centre 6 below the eyes.
    quad = quad_of(face68((150, 200), (250, 200), (200, 260)))
    assert quad.side == pytest.approx(400)
    assert quad.corners[0] == pytest.approx((0, 6))
    assert quad.corners[2] == pytest.approx((400, 406))


def test_quad_turns_with_the_head() -> None:
    # The first face turned by a quarter, clockwise, about (200, 200): (x, y) -> (400 - y, x).
    quad = quad_of(face68((200, 170), (200, 230), (120, 200)))
    upright = np.array([(56, 64), (56, 352), (344, 352), (344, 64)], float)
    assert quad.corners == pytest.approx(np.stack([400 - upright[:, 1], upright[:, 0]], axis=1))


def test_quad_where_eyes_and_mouth_disagree() -> None:
    # Eyes (60, 0); mouth (30, 80) from their middle. x ~ (60, 0) - (-80, 30) = (140, -30), of length
    # max(120, 1.8 * sqrt(7300)) = 153.7922; centre = eyes + 0.1 * (30, 80).
    quad = quad_of(face68((170, 200), (230, 200), (230, 280)))
    x = np.array([140, -30]) / np.hypot(140, 30) * 1.8 * np.sqrt(7300)
    y = np.array([-x[1], x[0]])
    centre = np.array([203, 208])
    assert quad.side == pytest.approx(2 * 153.79207)
    assert quad.corners == pytest.approx(np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y]))


def test_mesh_gives_nearly_the_same_square_as_its_own_68(hopper_landmarks: np.ndarray) -> None:
    quad = quad_of(hopper_landmarks)
    eyes = [(hopper_landmarks[a, :2] + hopper_landmarks[b, :2]) / 2 for a, b in ((33, 133), (362, 263))]
    mouth = (hopper_landmarks[61, :2] + hopper_landmarks[291, :2]) / 2
    other = quad_of(face68(tuple(eyes[0]), tuple(eyes[1]), tuple(mouth)))
    assert np.abs(quad.corners - other.corners).max() < 0.03 * quad.side


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.zeros((68, 2))])
def test_impossible_landmarks_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"landmarks|one point"):
        quad_of(landmarks)


@pytest.mark.parametrize("turn_deg", [0, 17, -40])
def test_picture_is_that_of_pillows_quad_transform(astronaut: np.ndarray, turn_deg: float) -> None:
    angle = np.radians(turn_deg)
    x = 90 * np.array([np.cos(angle), np.sin(angle)])
    y = np.array([-x[1], x[0]])
    corners = np.array([230.3, 150.7]) + np.stack([-x - y, -x + y, x + y, x - y])
    size = 128
    image = Image.fromarray(astronaut).transform(
        (4 * size, 4 * size), Image.Transform.QUAD, (corners + 0.5).ravel(), Image.Resampling.BILINEAR
    )
    expected = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS)).astype(int)
    found = align(astronaut, Quad(corners, 180.0), size).astype(int)
    assert np.abs(found - expected).max() <= 3
    assert np.abs(found - expected).mean() < 0.7


def test_large_photo_is_reduced_first_and_shows_the_same(astronaut: np.ndarray) -> None:
    corners = np.array([(140, 60), (140, 240), (320, 240), (320, 60)], float)
    large = np.asarray(Image.fromarray(astronaut).resize((2560, 2560), Image.Resampling.BICUBIC))
    whole = align(astronaut, Quad(corners, 180.0), 64).astype(int)
    reduced = align(large, Quad(corners * 5, 900.0), 64).astype(int)
    assert np.abs(whole - reduced).mean() < 4


def test_outside_of_the_photo_is_mirrored_blurred_and_fades_to_the_median(astronaut: np.ndarray) -> None:
    photo = astronaut[:300, :300]
    corners = np.array([(-60, -60), (-60, 240), (240, 240), (240, -60)], float)
    found = align(photo, Quad(corners, 300.0), 150)
    # The blur reaches a third of the padding, 30 px, into the photo; further inside nothing changes.
    inner = np.asarray(Image.fromarray(photo[40:240, 40:240]).resize((100, 100), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(found[50:, 50:].astype(int) - inner).mean() < 4.5
    assert len(np.unique(found[0].reshape(-1, 3), axis=0)) > 1
    assert found[:, 0].std(0).max() < 0.5 * found[:, 31].std(0).max()
    assert align(photo, Quad(corners + 90, 300.0), 150).shape == (150, 150, 3)
