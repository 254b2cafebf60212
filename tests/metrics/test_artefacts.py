"""Each measure sees its fault, exactly, and passes what is right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.metrics.artefacts import (
    beyond_px,
    compensated_difference,
    off_triangle_px,
    opaque_share,
    specks_per_million,
)

WHOLE = (-0.5, -0.5, 99.5, 49.5)


def places(width: int = 100, height: int = 50) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)


def texture(seed: int = 0, side: int = 96) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (side, side, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.clip((soft - soft.mean()) * 4.0 + 128.0, 0, 255).astype(np.uint8)


# Outside of the picture.


def test_distances_beyond_the_edges() -> None:
    points = np.array([[-0.5, 3.0], [-4.5, 3.0], [50.0, 60.5], [103.5, -10.5], [0.0, 0.0]])
    np.testing.assert_allclose(beyond_px(points, WHOLE), [0.0, 4.0, 11.0, 10.0, -0.5])


def test_a_shifted_map_shows_its_strip() -> None:
    opaque = np.full((50, 100), 255, np.uint8)
    assert opaque_share(beyond_px(places(), WHOLE), opaque, 0.5) == 0.0
    shifted = places() - [10.25, 0.0]
    assert opaque_share(beyond_px(shifted, WHOLE), opaque, 0.5) == pytest.approx(0.10)


def test_transparent_pixels_may_come_from_anywhere() -> None:
    alpha = np.full((50, 100), 127, np.uint8)
    alpha[:, :5] = 128
    assert opaque_share(beyond_px(places() - [10.25, 0.0], WHOLE), alpha, 0.5) == pytest.approx(0.05)


# Samples and their triangles.


def test_distance_from_triangles() -> None:
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    points = np.array([[1.0, 1.0], [0.0, 0.0], [4.0, 0.0], [-2.0, 1.0], [7.0, -4.0], [4.0, 3.0]])
    expected = [0.0, 0.0, 0.0, 2.0, 5.0, 2.4]
    for turned in (corners, corners[::-1]):
        found = off_triangle_px(points, np.broadcast_to(turned, (6, 3, 2)))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_triangle_without_area_is_its_edge() -> None:
    flat = np.array([[[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]])
    np.testing.assert_allclose(off_triangle_px(np.array([[3.0, 1.5]]), flat), [1.5])


# Specks.


def test_specks_are_counted_one_by_one() -> None:
    still = np.full((100, 100, 3), 90, np.uint8)
    bad = still.copy()
    bad[10, 10], bad[50, 20, 2], bad[70:72, 70] = 255, 151, 0
    assert specks_per_million(bad, still) == pytest.approx(4 / 1e-2)
    assert specks_per_million(still, bad) == 0.0
    bad[50, 20, 2] = 150
    assert specks_per_million(bad, still) == pytest.approx(3 / 1e-2)


def test_what_stays_or_moves_is_no_speck() -> None:
    mole = np.full((100, 100, 3), 180, np.uint8)
    mole[40, 40] = 60
    assert specks_per_million(mole, mole) == 0.0
    assert specks_per_million(mole, np.roll(mole, (3, -4), axis=(0, 1))) == 0.0
    assert specks_per_million(mole, np.roll(mole, 6, axis=0)) == pytest.approx(100.0)


def test_areas_are_no_specks() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    square = frame.copy()
    square[20:40, 20:40] = 255
    # The median rounds its four corners off.
    assert specks_per_million(square, frame) <= 4 * 3 / 64**2 * 1e6


# Flicker.


def test_what_stands_still_or_moves_costs_little_and_what_flickers_all() -> None:
    picture = texture()
    assert compensated_difference(picture, picture) == 0.0
    moved = np.roll(picture, 3, axis=1)
    plain = float(np.abs(picture.astype(float) - moved).mean())
    assert compensated_difference(picture, moved) < 0.25 * plain
    brighter = np.clip(picture.astype(int) // 2 + 74, 0, 255).astype(np.uint8)
    lighter = (brighter + 20).astype(np.uint8)
    assert compensated_difference(brighter, lighter) == pytest.approx(20.0, abs=6.0)


def test_a_hole_that_opens_costs_its_contrast() -> None:
    picture = texture(1)
    torn = picture.copy()
    torn[30:60, 30:60] = 255 - torn[30:60, 30:60]
    assert compensated_difference(picture, torn) > 2.0
