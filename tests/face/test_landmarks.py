"""The tables of landmark numbers and the triangles between them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from avatarkit.face import landmarks as lm


def edges(triangles: np.ndarray) -> Counter[tuple[int, int]]:
    """How many triangles share each edge, by its smaller and larger end."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return Counter((int(a), int(b)) for a, b in np.sort(pairs, axis=1))


def rim(upper: tuple[int, ...], lower: tuple[int, ...]) -> list[tuple[int, int]]:
    outline = lm.ring(upper, lower)
    return [(min(a, b), max(a, b)) for a, b in pairwise((*outline, outline[0]))]


OPENINGS = [*zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True), (lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)]


def test_tables_have_the_promised_size() -> None:
    assert lm.surface_triangles().shape == (852, 3)
    assert lm.opening_triangles().shape == (46, 3)
    assert set(lm.surface_triangles().ravel().tolist()) == set(range(lm.MESH))


def test_every_triangle_is_one_of_its_own() -> None:
    triangles = np.sort(np.concatenate([lm.surface_triangles(), lm.opening_triangles()]), axis=1)
    assert np.all(np.diff(triangles, axis=1) > 0)
    assert len(np.unique(triangles, axis=0)) == len(triangles)


def test_surface_edges_belong_to_at_most_two_triangles() -> None:
    assert max(edges(lm.surface_triangles()).values()) == 2


def test_openings_are_holes_of_the_surface_and_close_them() -> None:
    surface, closed = (
        edges(lm.surface_triangles()),
        edges(np.concatenate([lm.surface_triangles(), lm.opening_triangles()])),
    )
    for upper, lower in OPENINGS:
        for edge in rim(upper, lower):
            assert surface[edge] == 1, edge
            assert closed[edge] == 2, edge
    assert max(closed.values()) == 2
    # What is left open is the outline of the face and nothing else.
    outline = {(min(a, b), max(a, b)) for a, b in pairwise((*lm.FACE_OVAL, lm.FACE_OVAL[0]))}
    assert {edge for edge, count in closed.items() if count == 1} == outline


def test_neighbours_turn_the_same_way() -> None:
    """An edge shared by two triangles is walked once in each direction."""
    triangles = np.concatenate([lm.surface_triangles(), lm.opening_triangles()])
    walked = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(walked, axis=0)) == len(walked)


def test_triangles_face_the_camera_on_a_real_face(hopper_landmarks: np.ndarray) -> None:
    def areas(triangles: np.ndarray) -> np.ndarray:
        a, b, c = hopper_landmarks[triangles, :2].transpose(1, 0, 2)
        (x0, y0), (x1, y1) = (b - a).T, (c - a).T
        return x0 * y1 - y0 * x1

    surface = areas(lm.surface_triangles())
    assert np.mean(surface > 0) > 0.97
    assert surface[surface > 0].sum() > 200 * -surface[surface < 0].sum()
    assert np.mean(areas(lm.opening_triangles()) > 0) > 0.8


def test_twins_are_mirror_images(hopper_landmarks: np.ndarray) -> None:
    right, left = hopper_landmarks[np.array(lm.TWINS).T, :2]
    size = np.ptp(hopper_landmarks[:, 1])
    across = (left - right).sum(0)
    across /= np.linalg.norm(across)
    assert np.all((left - right) @ across > 0)
    along = np.array([-across[1], across[0]])
    np.testing.assert_allclose((left - right) @ along, 0.0, atol=0.04 * size)
    middles = ((left + right) / 2) @ across
    np.testing.assert_allclose(middles, middles.mean(), atol=0.05 * size)


@pytest.mark.parametrize("eye", [0, 1])
def test_eye_tables(eye: int, hopper_landmarks: np.ndarray) -> None:
    upper, lower = lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye]
    assert (len(upper), upper[0], upper[-1]) == (len(lower), lower[0], lower[-1])
    points = hopper_landmarks[:, :2]
    assert np.all(points[list(upper[1:-1]), 1] < points[list(lower[1:-1]), 1])
    assert np.all(points[list(lm.UPPER_CREASES[eye]), 1] < points[list(upper[1:-1]), 1])
    assert np.all(points[list(lm.LOWER_CREASES[eye]), 1] > points[list(lower[1:-1]), 1])
    # From the outer corner to the inner one.
    steps = np.diff(points[list(upper), 0])
    assert np.all(steps > 0) if eye == 0 else np.all(steps < 0)
    rim_points = points[list(lm.IRIS_RIMS[eye])]
    centre = points[lm.IRIS_CENTRES[eye]]
    np.testing.assert_allclose(rim_points.mean(0), centre, atol=1.0)
    assert points[list(upper), 0].min() < centre[0] < points[list(upper), 0].max()


def test_mouth_tables(hopper_landmarks: np.ndarray) -> None:
    points = hopper_landmarks[:, :2]
    rows = (lm.OUTER_LIP_UPPER, lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER, lm.OUTER_LIP_LOWER)
    heights = [points[list(row[1:-1]), 1].mean() for row in rows]
    assert heights == sorted(heights)
    for row in rows:
        assert np.all(np.diff(points[list(row), 0]) > 0)


def test_right_is_the_persons_right(hopper_landmarks: np.ndarray) -> None:
    x = hopper_landmarks[:, 0]
    assert x[lm.IRIS_CENTRES[0]] < x[lm.IRIS_CENTRES[1]]
    assert x[lm.EARS[0]] < x[lm.EARS[1]]
    assert x[list(lm.BROWS[0])].max() < x[list(lm.BROWS[1])].min()
    y = hopper_landmarks[:, 1]
    assert y[lm.FOREHEAD] < y[list(lm.MIDLINE_TOP)].mean() < y[list(lm.MIDLINE_BOTTOM)].mean() < y[lm.CHIN]


def test_ring_is_a_closed_outline_without_repeats() -> None:
    for upper, lower in OPENINGS:
        outline = lm.ring(upper, lower)
        assert len(outline) == len(set(outline)) == len(upper) + len(lower) - 2
