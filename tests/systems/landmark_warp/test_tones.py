"""Drawn teeth, tongues, lids and eyes have the tones of their picture: none where it is black and white."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.teeth import palette
from avatarkit.systems.landmark_warp.tones import Tones
from avatarkit.systems.protocol import SourceLayers

from ..conftest import Move, moves_of
from .conftest import LIPS, SIZE, WHITE, polygon

INK = (20, 15, 15)
SEPIA = np.array([1.2, 1.0, 0.8])
ACTS: tuple[dict[str, float], ...] = (
    {"mouth": 0.02}, {"mouth": 0.1}, {"mouth": 0.25}, {"mouth": 0.45, "gaze": 5.0}, {"lids": 0.7}, {"lids": 0.3},
    {"lids": 0.0, "yaw_deg": 15.0}, {"lids": 1.3, "gaze": -8.0, "mouth": -0.06},
)  # fmt: skip


def grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture.mean(2, keepdims=True).round().astype(np.uint8), 3, axis=2)


def sepia(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(0.7 * grey(picture) * SEPIA, 0, 255).round(), np.uint8)


def prepared(picture: np.ndarray, landmarks: np.ndarray) -> WarpEngine:
    engine = WarpEngine()
    engine.prepare(SourceLayers(picture, picture, np.ones((SIZE, SIZE), np.float32), landmarks, cut_out=False))
    return engine


@pytest.fixture(scope="module")
def smiling(picture: np.ndarray, landmarks: np.ndarray, act: Move) -> tuple[np.ndarray, np.ndarray]:
    """The painted face with teeth between its lips, and its landmarks."""
    points, painted = act(mouth=0.1).landmarks, picture.copy()
    polygon(painted, points[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, points[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], WHITE)
    return painted, points


@pytest.mark.parametrize("parted", [False, True], ids=["closed", "smiling"])
def test_of_a_grey_source_all_is_grey(
    picture: np.ndarray, landmarks: np.ndarray, smiling: tuple[np.ndarray, np.ndarray], parted: bool
) -> None:
    source, points = smiling if parted else (picture, landmarks)
    engine, move = prepared(grey(source), points), moves_of(points)
    for options in ACTS:
        frame, _ = engine.draw(move(**options))
        assert np.ptp(frame, axis=2).max() <= 1, options


def test_of_a_sepia_source_all_is_sepia(picture: np.ndarray, landmarks: np.ndarray, act: Move) -> None:
    engine = prepared(sepia(picture), landmarks)
    for options in ACTS:
        frame = engine.draw(act(**options))[0].astype(float)
        # What an iris leaves of the white's light is bounded by channels.
        most = 9.0 if "gaze" in options else 4.0
        assert np.abs(frame - frame.mean(2, keepdims=True) * SEPIA).max() < most, options


def test_coloured_sources_have_all_their_colours(picture: np.ndarray, landmarks: np.ndarray) -> None:
    drawn = np.array([[200.0, 120.0, 90.0]])
    for source in (picture, (0.3 * picture).astype(np.uint8), (0.5 * grey(picture) + 0.5 * picture).astype(np.uint8)):
        tones = Tones.of(source, landmarks)
        assert tones.share == 1.0
        assert tones.shown(drawn) is drawn
        assert tones.tint(drawn) is drawn


@pytest.mark.parametrize("skin", [(254, 224, 200), (240, 200, 170)])
def test_figures_of_flat_skin_have_colours_by_their_eyes(landmarks: np.ndarray, skin: tuple[int, int, int]) -> None:
    """Drawn with dark lines, and lips of the skin's colour: nothing else of the face says that it is not toned."""
    figure = np.full((SIZE, SIZE, 3), 255, np.uint8)
    polygon(figure, landmarks[list(lm.FACE_OVAL)], skin)
    for upper, lower, centre in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, strict=True):
        polygon(figure, landmarks[list(lm.ring(upper, lower))], (255, 255, 255))
        x, y = landmarks[centre, :2].round().astype(int)
        figure[y - 2 : y + 3, x - 2 : x + 3] = INK
    for line in (*lm.UPPER_LIDS, lm.OUTER_LIP_UPPER):
        cv2.polylines(figure, [landmarks[list(line), :2].round().astype(np.int32)], False, INK, 3)
    assert Tones.of(figure, landmarks).share == 1.0
    for toned in (grey(figure), sepia(figure)):
        assert Tones.of(toned, landmarks).share == 0.0


def test_fading_pictures_lose_their_colours_little_by_little(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Between coloured and black and white lies no step: one source is not drawn like another that is all but it."""
    tongues = []
    for share in np.linspace(0.0, 1.0, 41):
        faded = (grey(picture) + share * (picture - grey(picture).astype(float))).round().astype(np.uint8)
        red, _, blue = palette(faded, landmarks).tongue
        tongues.append(red - blue)
    assert tongues[0] == pytest.approx(0.0, abs=0.01)
    assert tongues[-1] > 20.0
    assert np.diff(tongues).max() < 0.35 * tongues[-1]


def test_a_picture_of_one_colour_is_read_too(picture: np.ndarray, landmarks: np.ndarray) -> None:
    plain = np.full_like(picture, 140)
    np.testing.assert_allclose(Tones.of(plain, landmarks).shown(np.array([90.0, 60.0, 30.0])), 60.0, atol=1e-6)
    assert np.isfinite(Tones.of(plain, landmarks + 5000.0).shown(np.ones(3))).all()
