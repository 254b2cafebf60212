"""Where frames are searched: in the same place until the face has left it, known two frames ahead."""

from __future__ import annotations

import numpy as np

from avatarkit.face.person import PersonFollower
from avatarkit.face.place import Place, searched

from .conftest import FakeTracker, face_of, plain_frames


def test_a_face_near_the_middle_leaves_the_place(hopper_landmarks: np.ndarray) -> None:
    first, near, far = (face_of(hopper_landmarks, (x, 100.0, 40.0)) for x in (100.0, 107.0, 109.0))
    assert Place(first, near).after((0.0, 0.0)) is first
    assert Place(first, far).after((0.0, 0.0)) is far
    assert Place(first, face_of(hopper_landmarks, (100.0, 100.0, 50.0))).after((0.0, 0.0)).extent_px > 45.0


def test_a_place_moves_with_the_camera(hopper_landmarks: np.ndarray) -> None:
    face = face_of(hopper_landmarks, (100.0, 100.0, 40.0))
    np.testing.assert_allclose(Place(face, face).after((30.0, -5.0)).centre, (130.0, 95.0), atol=1e-4)


def test_a_face_that_is_elsewhere_by_now_is_searched_where_it_is(hopper_landmarks: np.ndarray) -> None:
    here, there = (face_of(hopper_landmarks, (x, 100.0, 40.0)) for x in (100.0, 125.0))
    place = searched(Place(here, here), there, (0.0, 0.0))
    assert place.around is there
    assert place.before is there


def test_the_place_of_the_frame_after_the_next_is_known(hopper_landmarks: np.ndarray) -> None:
    places = [[(100.0 + 3.0 * n, 100.0, 40.0)] for n in range(12)]

    class Asked(FakeTracker):
        asked: list[tuple[float, float]] = []  # noqa: RUF012

        def follow(self, frame, last):
            self.asked.append(last.centre)
            return super().follow(frame, last)

    follower = PersonFollower(Asked(hopper_landmarks, places))
    foreseen = []
    for frame in plain_frames(12):
        upcoming = follower.upcoming((0.0, 0.0), (0.0, 0.0))
        foreseen.append(None if upcoming is None else upcoming.centre)
        assert follower.step(frame).face is not None
    # Nothing is known before the first frame; the rest is asked for as it was foreseen.
    assert foreseen[0] is None
    assert Asked.asked[1:] == foreseen[1:-1]
    assert 2 < len(set(Asked.asked)) < 8
