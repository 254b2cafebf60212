"""Seams, holes and mirrored borders are seen, more of them for more, and a clean photo passes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face.landmarks import FACE_OVAL
from avatarkit.metrics.blemishes import blemishes, mirrored_share

SIDE = 320


def face() -> tuple[np.ndarray, np.ndarray]:
    """Smooth skin with landmarks: the outline as an ellipse, features as points in its middle third."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    picture = np.stack([150 + 60 * x, 120 + 50 * y, 110 + 0 * x], axis=2).astype(np.uint8)
    points = np.full((478, 3), SIDE / 2.0)
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), 0] = SIDE / 2 + 0.4 * SIDE * np.sin(turn)
    points[list(FACE_OVAL), 1] = SIDE / 2 - 0.45 * SIDE * np.cos(turn)
    return picture, points


def test_smooth_skin_has_none() -> None:
    assert blemishes(*face()) == (0, 0)


def test_dotted_seams_and_holes_are_told_apart_and_counted() -> None:
    picture, points = face()
    seen = []
    for count in (1, 3):
        seamed, holed = picture.copy(), picture.copy()
        for number in range(count):
            for dot in range(100, 220, 4):
                seamed[dot : dot + 2, 90 + 40 * number : 92 + 40 * number] = 0
            cv2.circle(holed, (100 + 50 * number, 220), 7, (0, 0, 0), -1)
        seen.append((blemishes(seamed, points), blemishes(holed, points)))
    (few_seams, few_holes), (more_seams, more_holes) = seen
    assert 0 < 2 * few_seams.seams < more_seams.seams
    assert few_seams.holes < few_seams.seams
    assert 0 < 2 * few_holes.holes < more_holes.holes
    assert few_holes.seams < 0.2 * few_holes.holes


def test_the_size_of_the_picture_does_not_matter() -> None:
    picture, points = face()
    cv2.circle(picture, (120, 220), 9, (0, 0, 0), -1)
    large = cv2.resize(picture, (3 * SIDE, 3 * SIDE), interpolation=cv2.INTER_CUBIC)
    assert blemishes(large, 3 * points).holes == pytest.approx(blemishes(picture, points).holes, rel=0.15)


def test_outline_and_features_do_not_count() -> None:
    picture, points = face()
    outside = np.linalg.norm((np.mgrid[:SIDE, :SIDE] - SIDE / 2) / [[[0.45 * SIDE]], [[0.4 * SIDE]]], axis=0) > 1
    picture[outside] = 0  # hair right up to the outline
    cv2.circle(picture, (SIDE // 2, SIDE // 2), 4, (0, 0, 0), -1)  # where all features lie
    assert blemishes(picture, points) == (0, 0)


def test_a_border_that_repeats_is_seen_as_far_as_it_does(astronaut: np.ndarray) -> None:
    cut = astronaut[100:356, 150:406]
    assert mirrored_share(cut) < 0.05
    shares = []
    for sides in ((24, 0, 0, 0), (24, 24, 0, 0), (24, 24, 24, 24)):
        mirrored = cv2.copyMakeBorder(cut, *sides, cv2.BORDER_REFLECT_101)
        shares.append(mirrored_share(mirrored))
    assert shares[0] > 0.05
    assert shares == sorted(shares)
    assert shares[2] > 0.3


def test_lines_along_and_across_the_border_are_no_mirror() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::8] = 200
    assert mirrored_share(stripes) == 0
    assert mirrored_share(np.rot90(stripes)) == 0
