"""What the warp samples holds nothing that flickers when it is moved by parts of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.metrics.artefacts import specks_per_million
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.protocol import SourceLayers

SIZE = 128


def canvas(
    picture: np.ndarray, alpha: np.ndarray | None = None, unit_px: float = 100.0, *, anchored: bool = False
) -> Canvas:
    matte = np.ones(picture.shape[:2], np.float32) if alpha is None else alpha
    return Canvas.of(SourceLayers(picture, picture, matte, np.zeros((478, 3)), anchored=anchored), unit_px)


def shown(of: Canvas) -> np.ndarray:
    return of.pixels[of.top : of.top + SIZE, of.left : of.left + SIZE]


def test_points_and_threads_are_softened() -> None:
    picture = np.full((SIZE, SIZE, 3), 60, np.uint8)
    picture[40, 50] = picture[70:110, 90] = 165
    soft = shown(canvas(picture))[..., :3]
    calm = np.full_like(picture, 60)
    assert specks_per_million(picture, calm) > 1000.0
    assert specks_per_million(np.ascontiguousarray(soft), calm) < 0.1 * specks_per_million(picture, calm)
    # They are not taken away.
    assert soft[90, 90].min() > 95


def test_edges_textures_and_what_is_wider_stay_as_they_are() -> None:
    picture = np.full((SIZE, SIZE, 3), 60, np.uint8)
    picture[:, 64:] = 220
    picture[20:60, 20:26] = 180
    picture[90:120, 10:40] += np.random.default_rng(0).integers(0, 25, (30, 30, 1), np.uint8)
    inside = np.s_[2:-2, 2:-2]
    corners = np.abs(shown(canvas(picture))[inside][..., :3].astype(int) - picture[inside]).max(2) > 0
    assert corners.sum() <= 12


@pytest.mark.parametrize(("unit_px", "anchored"), [(40.0, False), (100.0, True)])
def test_small_faces_and_pictures_that_stay_keep_their_points(unit_px: float, anchored: bool) -> None:
    picture = np.full((SIZE, SIZE, 3), 60, np.uint8)
    picture[40, 50] = picture[70:110, 90] = 165
    np.testing.assert_array_equal(shown(canvas(picture, unit_px=unit_px, anchored=anchored))[..., :3], picture)


def test_single_strands_of_a_matte_are_softened_too() -> None:
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[80:] = 1.0
    alpha[30:80, 60] = 1.0
    matte = shown(canvas(np.full((SIZE, SIZE, 3), 40, np.uint8), alpha))[..., 3]
    assert 90 < matte[50, 60] < 200
    assert (matte[82:] == 255).all()
    assert not matte[:20].any()
