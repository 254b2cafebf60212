"""Following with and without a box, told by a tracker that only knows what it is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.face.person import belongs, faces_in
from avatarkit.face.types import Face
from avatarkit.prepare.follow import FaceFollower, share_inside

FRAME = np.zeros((400, 600, 3), np.uint8)
Move = Callable[..., Face]


class Guarded:
    """A tracker that sees the faces it is told; crops are found by their place in `FRAME`'s numbering."""

    name = "told"

    def __init__(self) -> None:
        self.faces: tuple[Face, ...] = ()
        self.followed: Face | None = None
        self.searched: list[tuple[int, int]] = []

    def detect(self, picture: np.ndarray, **search: float) -> tuple[Face, ...]:
        self.searched.append(picture.shape[:2])
        return self.faces

    def follow(self, frame: np.ndarray, last: Face) -> Face | None:
        return self.followed

    def glance(self, part: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
        return ()

    def close(self) -> None: ...


@pytest.fixture
def told() -> Guarded:
    return Guarded()


def test_largest_face_is_taken_and_followed(told: Guarded, dense_face: Face, moved: Move) -> None:
    small = moved(dense_face, 0, 0, 0.5)
    told.faces, told.followed = (small, dense_face), dense_face
    follower = FaceFollower(told)
    assert follower.step(FRAME).face is dense_face
    assert follower.step(FRAME).face is dense_face
    assert told.searched == [(400, 600)]


def test_lost_face_is_searched_for_on_every_third_frame(told: Guarded, dense_face: Face) -> None:
    told.faces = (dense_face,)
    follower = FaceFollower(told)
    follower.step(FRAME)
    told.faces = ()
    assert [follower.step(FRAME).cause for _ in range(6)] == ["face-lost"] * 6
    assert len(told.searched) == 1 + 2
    told.faces = (dense_face,)
    seen = follower.step(FRAME)
    assert seen.face is dense_face
    assert not seen.jumped


def test_face_found_again_elsewhere_is_somebody_else(told: Guarded, dense_face: Face, moved: Move) -> None:
    told.faces = (dense_face,)
    follower = FaceFollower(told)
    follower.step(FRAME)
    told.faces = (moved(dense_face, 200, 0),)
    assert follower.step(FRAME).jumped
    follower.restart()
    assert not follower.step(FRAME).jumped


def test_without_any_face_the_cause_is_no_face(told: Guarded) -> None:
    assert FaceFollower(told).step(FRAME).cause == "no-face"


def test_box_keeps_the_follower_from_drifting(told: Guarded, dense_face: Face, moved: Move) -> None:
    follower, box = FaceFollower(told), dense_face.box
    # Searching happens in a window about the box, so faces come in that window's pixels.
    left, top = (int(max(0, v)) for v in window_of(box)[:2])
    told.faces = (moved(dense_face, -left, -top),)
    seen = follower.step(FRAME, box)
    assert seen.face is not None
    assert seen.face.box == pytest.approx(box, abs=1e-3)
    assert told.searched[0] != FRAME.shape[:2]
    # The tracker slips to another person: the box's own face is searched again at once.
    told.followed = moved(dense_face, 150, 0)
    assert follower.step(FRAME, box).face is not None
    told.faces = ()
    assert follower.step(FRAME, box).cause == "drift"


def window_of(box: tuple[float, float, float, float]) -> tuple[float, ...]:
    from avatarkit.face.boxes import square

    return square(box, 2.2)


def test_face_cut_by_the_edge_does_not_count(told: Guarded, dense_face: Face, moved: Move) -> None:
    told.faces = (moved(dense_face, -dense_face.centre[0], 0),)
    assert FaceFollower(told).step(FRAME).cause == "outside-frame"


def test_belongs_by_place_and_size(dense_face: Face, moved: Move) -> None:
    box = dense_face.box
    side = dense_face.extent_px
    assert belongs(dense_face, box)
    assert belongs(moved(dense_face, 0.45 * side, 0), box)
    assert not belongs(moved(dense_face, 0.55 * side, 0), box)
    wide = (box[0] - side, box[1] - side, box[2] + side, box[3] + side)
    assert not belongs(dense_face, wide)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0, 0, 10, 10), 1.0),
        ((-5, 0, 5, 10), 0.5),
        ((-5, -5, 5, 5), 0.25),
        ((700, 0, 800, 10), 0.0),
        ((5, 5, 5, 9), 0.0),
        ((float("nan"), 0, 5, 9), 0.0),
        ((0, 0, float("inf"), 9), 0.0),
    ],
)
def test_share_inside(box: tuple[float, float, float, float], share: float) -> None:
    assert share_inside(box, 600, 400) == share


def test_faces_of_a_part_come_in_pixels_of_the_frame(astronaut: np.ndarray, tools) -> None:
    whole = tools.tracker.detect(astronaut)[0]
    (part,) = faces_in(tools.tracker, astronaut, (100.7, 20.2, 380.0, 300.0))
    assert np.abs(part.landmarks[:, :2] - whole.landmarks[:, :2]).max() < 5
    assert faces_in(tools.tracker, astronaut, (600.0, 0.0, 700.0, 90.0)) == ()
