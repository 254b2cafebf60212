"""Matting from the face's place alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.background.grabcut_matting import LandmarkMatting, portrait_prior

Image = NDArray[np.uint8]
SIZE, FACE = 300, (150, 110)


def outline(center: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = center[0] + radii[0] * np.cos(angle), center[1] + radii[1] * np.sin(angle)
    return np.stack([x, y, np.zeros_like(x)], 1).astype(np.float32)


LANDMARKS = outline(FACE, (38, 50))


def figure() -> tuple[Image, NDArray[np.float32]]:
    """A drawn person before an even wall: hair, face, neck and shirt, each of its own colour; and its matte."""
    colors = {"wall": (150, 170, 160), "hair": (60, 40, 30), "skin": (220, 170, 140), "shirt": (40, 60, 130)}
    image = np.full((SIZE, SIZE, 3), colors["wall"], np.uint8)
    person = np.zeros((SIZE, SIZE), np.uint8)

    def paint(points: NDArray[np.float32], color: tuple[int, int, int]) -> None:
        shape = [np.rint(points[:, :2]).astype(np.int32)]
        cv2.fillPoly(image, shape, color)
        cv2.fillPoly(person, shape, (1,))

    paint(outline((150, 98), (50, 66)), colors["hair"])
    paint(np.array([(132, 140), (168, 140), (168, 200), (132, 200)], np.float32), colors["skin"])
    paint(np.array([(128, 185), (172, 185), (240, 215), (250, 299), (50, 299), (60, 215)]), colors["shirt"])
    paint(LANDMARKS, colors["skin"])
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), person.astype(np.float32)


def test_finds_a_person_before_an_even_wall() -> None:
    image, truth = figure()
    alpha = LandmarkMatting().matte(image, LANDMARKS)
    assert alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1
    shared = np.minimum(alpha, truth).sum() / np.maximum(alpha, truth).sum()
    assert shared > 0.97


def test_hair_and_shoulders_are_found_by_their_colours() -> None:
    image, _ = figure()
    alpha = LandmarkMatting().matte(image, LANDMARKS)
    assert alpha[42, 150] > 0.9  # hair, a third of the face's height above it
    assert alpha[280, 70] > 0.9  # the end of the shoulder
    assert alpha[60, 60] == 0
    assert alpha[220, 20] == 0


def test_finds_an_officer(grace_hopper: Image, hopper_landmarks: NDArray[np.float64]) -> None:
    alpha = LandmarkMatting().matte(grace_hopper, hopper_landmarks)
    assert alpha[180:330, 220:330].mean() > 0.99
    assert alpha[560:, 200:330].min() > 0.9
    assert alpha[:60, :60].max() < 0.05


def test_matte_moves_and_grows_with_the_picture() -> None:
    image, _ = figure()
    matting = LandmarkMatting()
    alpha = matting.matte(image, LANDMARKS)
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    points = (LANDMARKS + 0.5) * 2 - 0.5
    large = cv2.resize(matting.matte(double, points), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(large - alpha).mean() < 0.02


def test_other_draws_of_the_same_thread_change_nothing() -> None:
    """Patches of many colours, whose clusters depend on where their search begins."""
    patches = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = np.repeat(np.repeat(patches, 25, 0), 25, 1)
    matting = LandmarkMatting()
    mattes = []
    for seed in (1, 78, 155):
        cv2.setRNGSeed(seed)
        mattes.append(matting.matte(image, LANDMARKS))
    assert np.array_equal(mattes[0], mattes[1])
    assert np.array_equal(mattes[0], mattes[2])


def test_prior_holds_all_four_labels_where_they_belong() -> None:
    box = np.array([112.0, 60.0, 188.0, 160.0])
    prior = portrait_prior(SIZE, SIZE, box)
    assert prior[110, 150] == cv2.GC_FGD
    assert prior[290, 150] == cv2.GC_FGD
    assert prior[35, 150] == cv2.GC_PR_FGD  # hair
    assert prior[100, 60] == cv2.GC_PR_BGD  # long hair, or a wall
    assert prior[10, 10] == cv2.GC_BGD
    assert prior[150, 10] == cv2.GC_BGD


@pytest.mark.parametrize("center", [(-200.0, 150.0), (150.0, 900.0), (150.0, 150.0)])
def test_face_outside_or_larger_than_the_picture(center: tuple[float, float]) -> None:
    image, _ = figure()
    for radii in ((38.0, 50.0), (900.0, 900.0)):
        alpha = LandmarkMatting().matte(image, outline(center, radii))
        assert alpha.shape == (SIZE, SIZE)
        assert np.isfinite(alpha).all()
