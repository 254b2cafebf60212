"""The mirror pairs of landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIDLINE, MIRROR

if TYPE_CHECKING:
    from avatarkit.face.mediapipe_tracker import MediaPipeTracker


def test_mirrored_twice_is_itself() -> None:
    assert np.array_equal(MIRROR[MIRROR], np.arange(478))
    assert tuple(np.flatnonzero(np.equal(MIRROR, np.arange(478)))) == MIDLINE


def test_named_parts_meet_their_twins() -> None:
    eyes = [*zip(*lm.UPPER_LIDS, strict=True), *zip(*lm.LOWER_LIDS, strict=True)]
    creases = [*zip(*lm.UPPER_CREASES, strict=True), *zip(*lm.LOWER_CREASES, strict=True)]
    brows = list(zip(*lm.BROWS, strict=True))
    for right, left in [*lm.TWINS, *eyes, *creases, *brows, lm.IRIS_CENTRES]:
        assert MIRROR[right] == left
    for lips in (lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER, lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER):
        assert [MIRROR[point] for point in lips] == list(lips[::-1])
    assert {int(MIRROR[point]) for point in lm.FACE_OVAL} == set(lm.FACE_OVAL)


def test_triangles_are_mirrored_but_for_the_diagonals_of_a_few_quads() -> None:
    edges = {frozenset(map(int, side)) for a, b, c in lm.surface_triangles() for side in ((a, b), (b, c), (c, a))}
    mirrored = {frozenset(int(MIRROR[point]) for point in edge) for edge in edges}
    assert len(mirrored - edges) == 6


def test_landmarks_of_a_mirrored_portrait(
    tracker: MediaPipeTracker, grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    turned = tracker.detect(np.ascontiguousarray(grace_hopper[:, ::-1]))[0].landmarks[MIRROR, :2]
    turned[:, 0] = grace_hopper.shape[1] - 1 - turned[:, 0]
    apart = np.linalg.norm(turned - hopper_landmarks[:, :2], axis=1)
    eyes = np.linalg.norm(hopper_landmarks[33, :2] - hopper_landmarks[263, :2])
    assert apart.mean() < 0.02 * eyes
    assert apart.max() < 0.1 * eyes
