"""Smaller triangles at the lips' outline: nothing is lost, the photo stays, and what moves far bends smoothly."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.finer import Finer
from avatarkit.systems.landmark_warp.mesh import MOUTH, FaceMesh

from ..conftest import Move, rasterised


def test_every_inner_edge_has_two_triangles(landmarks: np.ndarray) -> None:
    """An edge that is halved on one side alone would leave a crack."""
    finer = Finer.of(landmarks)
    edges = Counter(
        frozenset(pair) for a, b, c in finer.triangles.tolist() for pair in ((a, b), (b, c), (c, a))
    )
    assert set(edges.values()) <= {1, 2}
    coarse = np.concatenate([lm.surface_triangles(), lm.opening_triangles()]).tolist()
    rim = Counter(frozenset(pair) for a, b, c in coarse for pair in ((a, b), (b, c), (c, a)))
    assert sum(n == 1 for n in edges.values()) == sum(n == 1 for n in rim.values())


def test_the_photo_stays(landmarks: np.ndarray) -> None:
    mesh = FaceMesh(landmarks)
    np.testing.assert_allclose(mesh.placed(landmarks)[..., :2], mesh.over(landmarks)[..., :2], atol=1e-6)
    turned = landmarks * [0.8, 1.1, 1.0] + [0.3, 4.0, 0.0]
    np.testing.assert_allclose(mesh.placed(turned)[..., :2], mesh.over(turned)[..., :2], atol=1e-6)


def test_what_moves_smoothly_is_bent(landmarks: np.ndarray) -> None:
    """Like rubber drawn down around a mouth: new points go where the rubber's do, not to the middles of edges."""
    mouth = landmarks[[*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER], :2]
    middle, width = mouth.mean(0), float(np.ptp(mouth[:, 0]))

    def drawn(points: np.ndarray) -> np.ndarray:
        away = (points[:, :2] - middle) / width
        result = points.copy()
        result[:, 1] += 0.6 * width * np.exp(-4.0 * (away**2).sum(1))
        return result

    finer = Finer.of(landmarks)
    moved = drawn(landmarks)
    true = drawn(finer.middles(landmarks))[lm.MESH :, :2]
    straight, bent = (places[lm.MESH :, :2] - true for places in (finer.middles(moved), finer.bent(moved)))
    assert np.linalg.norm(bent, axis=1).mean() < 0.5 * np.linalg.norm(straight, axis=1).mean()


def test_what_closes_the_mouth_is_seen_behind_all_else(landmarks: np.ndarray, act: Move) -> None:
    """Of the averted side of an open mouth a tracker may say that a lip lies deeper than what it hides."""
    points = act(mouth=0.4).landmarks
    mesh = FaceMesh(landmarks)
    beyond = len(mesh.corners) - MOUTH
    lips = set(lm.INNER_LIP_UPPER) | set(lm.INNER_LIP_LOWER)
    assert all(set(corners) <= lips for corners in Finer.of(landmarks).triangles[beyond:].tolist())
    assert not set(Finer.of(landmarks).triangles[beyond - 1].tolist()) <= lips
    inside = cv2.erode((rasterised(mesh.placed(points), (512, 512)) > beyond).astype(np.uint8), np.ones((3, 3)))
    y, x = np.argwhere(inside)[0].tolist()
    # A piece of the forehead, before the mouth.
    piece = next(corners for corners in lm.surface_triangles() if 151 in corners)
    points[piece] += [*([x, y] - points[piece, :2].mean(0)), 100.0]
    assert 0 < rasterised(mesh.placed(points), (512, 512))[y, x] <= beyond
