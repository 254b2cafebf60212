"""Beside a cheek that turns away nothing of the face is seen a second time."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.mesh import Cover, FaceMesh
from avatarkit.systems.landmark_warp.silhouette import Silhouette

SIZE = 512


def turned(landmarks: np.ndarray, yaw_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    pose = head_frame(landmarks)
    rotation = from_euler_deg(0.0, 0.0, roll_deg) @ from_euler_deg(yaw_deg, 0.0, 0.0) @ pose.rotation
    turn = Similarity(rotation, pose.translation, pose.scale)
    return np.asarray(turn.apply(pose.apply_inverse(landmarks)))


def drawn(source: np.ndarray, target: np.ndarray, *, pushed: bool = True) -> tuple[np.ndarray, np.ndarray, Cover]:
    """X and y of the source's pixel that each pixel shows, over a field that shows every place as it is."""
    columns, rows = (plane.astype(np.float32) for plane in np.meshgrid(np.arange(SIZE), np.arange(SIZE)))
    mesh = FaceMesh(source)
    if not pushed:
        mesh._silhouette = None
    cover = mesh.draw(DriveFrame(head_frame(target), target, np.ones(2), 0), columns, rows)
    assert cover is not None
    return columns, rows, cover


def beside(cover: Cover, row: int, way: int) -> int:
    """The first column beside a cover in a row, to the left (-1) or to the right (1)."""
    covered = np.flatnonzero(cover.numbers[row - cover.window[0].start]) + cover.window[1].start
    return int(covered[0] - 1 if way < 0 else covered[-1] + 1)


@pytest.mark.parametrize("way", [-1, 1])
def test_beside_an_averted_cheek_nothing_of_the_face_is_seen(landmarks: np.ndarray, way: int) -> None:
    # Positive yaw takes the nose to the left, and the left side out of sight.
    source, target = (turned(landmarks, -way * degrees) for degrees in (25.0, 45.0))
    # The field holds shoulders where they are, and so comes behind the head.
    target = target - [way * 0.25 * head_frame(source).scale, 0.0, 0.0]
    columns, rows, cover = drawn(source, target)
    row = round(0.5 * (target[127 if way < 0 else 356, 1] + target[2, 1]))
    first = beside(cover, row, way)
    depths = Silhouette.of(source)
    assert depths is not None
    before = depths._at(np.array([[[first, row]]], np.float32))[0, 0, 0]
    assert before > 0.06 * depths.unit_px  # the field alone would show the cheek
    strip = first + way * np.arange(round(0.3 * depths.unit_px))
    shown = np.stack([columns[row, strip], rows[row, strip]], axis=1)[None]
    deepest = depths._at(shown)[..., 0].max()
    assert deepest < -0.03 * depths.unit_px
    assert np.all(way * np.diff(shown[0, :, 0]) > -0.5)  # and what is beside it in its order


def test_beside_a_frontal_face_all_stays(landmarks: np.ndarray) -> None:
    columns, rows, cover = drawn(turned(landmarks, 0.0), turned(landmarks, 30.0))
    outside = np.ones((SIZE, SIZE), bool)
    outside[cover.window] = cover.numbers == 0
    grid = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    assert all(np.array_equal(plane[outside], own[outside]) for plane, own in zip((columns, rows), grid, strict=True))


def test_the_jaw_and_the_temple_stay(landmarks: np.ndarray) -> None:
    source, target = turned(landmarks, 25.0), turned(landmarks, 45.0)
    target = target - [-0.25 * head_frame(source).scale, 0.0, 0.0]
    columns, _, cover = drawn(source, target)
    for row in (round(target[18, 1]) + 16, round(target[127, 1]) - 16):
        first = beside(cover, row, -1)
        assert columns[row, first] == first


def test_the_face_itself_stays_where_the_border_cuts_it(landmarks: np.ndarray) -> None:
    source, target = turned(landmarks, 25.0), turned(landmarks, 45.0)
    middle = 0.5 * (target[127, 1] + target[2, 1])
    here = drawn(source, target)[2]
    target = target - [beside(here, round(middle), -1) + 4.0, 0.0, 0.0]  # cut in some rows, in others not
    planes, plain = drawn(source, target), drawn(source, target, pushed=False)
    cover = planes[2]
    face = np.zeros((SIZE, SIZE), bool)
    face[cover.window] = cover.numbers > 0
    assert face[:, 0].any()
    assert not face[:, 0].all()
    for plane, own in zip(planes[:2], plain[:2], strict=True):
        assert np.array_equal(plane[face], own[face])


@pytest.mark.parametrize(("source_deg", "target_deg"), [(60.0, 60.0), (0.0, 60.0), (60.0, 0.0)])
def test_heads_that_lie_down_are_left_alone(landmarks: np.ndarray, source_deg: float, target_deg: float) -> None:
    source, target = turned(landmarks, 25.0, source_deg), turned(landmarks, 45.0, target_deg)
    planes, plain = drawn(source, target), drawn(source, target, pushed=False)
    for plane, own in zip(planes[:2], plain[:2], strict=True):
        assert np.array_equal(plane, own)
