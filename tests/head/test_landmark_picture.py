"""Landmark pictures: one colour per line, the same pixels everywhere, and what a moved landmark may change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.face.landmarks import IRIS_RIMS
from avatarkit.face.mirror import MIRROR
from avatarkit.head.landmark_picture import LINE_SETS, draw_landmarks, landmark_lines

SIZE = 96


def scattered(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(8, SIZE - 8, (478, 3))


@pytest.mark.parametrize("name", LINE_SETS)
def test_every_line_has_a_colour_of_its_own_and_none_is_black(name: str) -> None:
    lines = landmark_lines(name)
    assert len(np.unique(lines.colours, axis=0)) == len(lines.edges) == len(lines.colours)
    assert lines.colours.any(1).all()
    assert len({frozenset(edge) for edge in lines.edges.tolist()}) == len(lines.edges)


def test_sets_join_as_many_landmarks_as_they_say() -> None:
    assert {name: len(np.unique(landmark_lines(name).edges)) for name in LINE_SETS} == {
        "dense": 476, "contours": 147, "sparse": 68,
    }  # fmt: skip
    assert [len(landmark_lines(name).edges) for name in LINE_SETS] == [1333, 144, 63]


@pytest.mark.parametrize("name", LINE_SETS)
def test_a_mirrored_face_is_drawn_with_the_same_edges(name: str) -> None:
    edges = {frozenset(edge) for edge in landmark_lines(name).edges.tolist()}
    mirrored = {frozenset(MIRROR[list(edge)].tolist()) for edge in edges}
    assert len(edges - mirrored) <= 0.01 * len(edges)


def test_tables_are_those_that_checkpoints_know() -> None:
    """Other tables mean other networks: every checkpoint made so far would be refused."""
    assert {name: landmark_lines(name).sha256[:8] for name in LINE_SETS} == {
        "dense": "9438a749", "contours": "64c8fbf9", "sparse": "e65d34d9",
    }  # fmt: skip


def test_a_line_alone_has_its_colour_along_its_way() -> None:
    points = np.full((478, 2), 5.0)
    points[IRIS_RIMS[0][0]] = (60.0, 5.0)
    picture = draw_landmarks(points, SIZE, landmark_lines("contours"))
    lines = landmark_lines("contours")
    touching = [colour for edge, colour in zip(lines.edges, lines.colours, strict=True) if IRIS_RIMS[0][0] in edge]
    # Antialiasing leaves a little of what was there before.
    assert min(np.abs(picture[5, 30].astype(int) - colour).max() for colour in touching) < 24
    assert not picture[8:].any()


def test_ends_lie_between_pixels() -> None:
    points = scattered()
    moved = points + np.array([0.25, 0.0, 0.0])
    lines = landmark_lines("contours")
    assert (draw_landmarks(points, SIZE, lines) != draw_landmarks(moved, SIZE, lines)).any()


@pytest.mark.parametrize("name", LINE_SETS)
def test_a_moved_landmark_changes_pixels_of_its_own_edges_alone(name: str) -> None:
    lines = landmark_lines(name)
    point = int(lines.edges[len(lines.edges) // 2, 0])
    before = scattered()
    after = before.copy()
    after[point, :2] += (3.0, -2.0)
    changed = (draw_landmarks(before, SIZE, lines) != draw_landmarks(after, SIZE, lines)).any(2)
    allowed = np.zeros_like(changed)
    for edge in lines.edges[(lines.edges == point).any(1)]:
        for points in (before, after):
            (left, top), (right, bottom) = points[edge, :2].min(0) - 2, points[edge, :2].max(0) + 2
            allowed[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = True
    assert changed.any()
    assert not (changed & ~allowed).any()


def test_pictures_are_the_same_at_any_number_of_threads() -> None:
    lines, before = landmark_lines("dense"), cv2.getNumThreads()
    try:
        pictures = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            pictures.append(draw_landmarks(scattered(), SIZE, lines))
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(*pictures)


def test_landmarks_far_outside_do_no_harm() -> None:
    points = scattered()
    points[:100] *= 1e12
    assert draw_landmarks(points, SIZE, landmark_lines("dense")).shape == (SIZE, SIZE, 3)


def test_other_sets_and_other_landmarks_are_refused() -> None:
    with pytest.raises(UsageError, match="use one of dense, contours, sparse"):
        landmark_lines("thin")
    with pytest.raises(UsageError, match="take the 478"):
        draw_landmarks(np.zeros((68, 2)), SIZE, landmark_lines("sparse"))
