"""One person among others: by place and looks, missing rather than somebody else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from avatarkit.face.looks import blended, difference, looks_of
from avatarkit.face.person import PersonFollower, Sight
from avatarkit.face.tracker import FaceTracker

from .conftest import FakeTracker, Place, face_of

RED, BLUE, DUSK = (200, 60, 50), (50, 70, 190), (150, 45, 38)
Painted = tuple[Place, tuple[int, int, int]]
LEFT, MIDDLE, RIGHT = (100.0, 100.0, 50.0), (200.0, 100.0, 50.0), (300.0, 100.0, 50.0)


def painted(number: int, people: list[Painted]) -> np.ndarray:
    """A frame (240, 400, 3) with a patch of colour for each person, and its number in the first pixel."""
    frame = np.full((240, 400, 3), 120, np.uint8)
    for (x, y, size), colour in people:
        left, top = int(x - 0.8 * size), int(y - 0.9 * size)
        frame[max(0, top) : int(y + 1.3 * size), max(0, left) : int(x + 0.8 * size)] = colour
    frame[0, 0] = number
    return frame


@pytest.fixture
def play(hopper_landmarks: np.ndarray) -> Callable[..., list[Sight]]:
    """`play(frames, cuts=())`: what is seen of the person who is largest first, or at `at`."""

    def run(frames: list[list[Painted]], cuts: tuple[int, ...] = ()) -> list[Sight]:
        tracker = FakeTracker(hopper_landmarks, [[place for place, _ in people] for people in frames])
        follower = PersonFollower(tracker, lambda found: found[0])
        sights = []
        for number, people in enumerate(frames):
            if number in cuts:
                follower.cut()
            sights.append(follower.step(painted(number, people)))
        return sights

    return run


def places(sights: list[Sight]) -> list[float | None]:
    return [None if sight.face is None else round(sight.face.centre[0]) for sight in sights]


def test_person_is_missing_while_only_others_are_there(play: Callable[..., list[Sight]]) -> None:
    both, alone = [(LEFT, RED), (RIGHT, BLUE)], [(RIGHT, BLUE)]
    sights = play([both] * 3 + [alone] * 10 + [both] * 4)
    assert places(sights)[:3] == [100] * 3
    assert places(sights)[3:13] == [None] * 10
    assert all(sight.stranger for sight in sights[3:13])
    assert places(sights)[-1] == 100


def test_somebody_else_in_the_same_place_is_not_taken(play: Callable[..., list[Sight]]) -> None:
    sights = play([[(LEFT, RED)]] * 4 + [[(LEFT, BLUE)]] * 8 + [[(LEFT, RED)]] * 4)
    assert places(sights)[:4] == [100] * 4
    assert places(sights)[4:12] == [None] * 8
    assert places(sights)[-1] == 100


@pytest.mark.parametrize("same", [True, False])
def test_another_light_leaves_the_shape(hopper_landmarks: np.ndarray, same: bool) -> None:
    """In one place, with looks that a light could explain: by the shape it is the person or somebody else."""
    lit = tuple(int(0.83 * part) for part in RED)
    looks = [looks_of(painted(0, [(LEFT, colour)]), face_of(hopper_landmarks, LEFT)) for colour in (RED, lit)]
    assert 0.075 < difference(*looks) < 0.15
    other = hopper_landmarks.copy()
    other[::2, 0] = other[:, 0].mean() + 1.15 * (other[::2, 0] - other[:, 0].mean())
    tracker = FakeTracker(hopper_landmarks, [[LEFT]] * 8)
    follower = PersonFollower(tracker, lambda found: found[0])
    seen = [follower.step(painted(number, [(LEFT, RED)])).face is not None for number in range(4)]
    tracker.landmarks = hopper_landmarks if same else other
    seen += [follower.step(painted(number, [(LEFT, lit)])).face is not None for number in range(4, 8)]
    assert seen == [True] * 4 + [same] * 4


def test_slow_change_of_light_is_the_same_person(play: Callable[..., list[Sight]]) -> None:
    steps = [tuple(int(a + (b - a) * n / 40) for a, b in zip(RED, DUSK, strict=True)) for n in range(41)]
    assert None not in places(play([[(LEFT, colour)] for colour in steps]))


def test_person_found_far_away_has_jumped(play: Callable[..., list[Sight]]) -> None:
    sights = play([[(LEFT, RED)]] * 3 + [[(RIGHT, RED)]] * 3)
    assert places(sights) == [100] * 3 + [300] * 3
    assert [sight.jumped for sight in sights] == [False] * 3 + [True, False, False]


def test_after_a_cut_the_person_is_known_by_looks(play: Callable[..., list[Sight]]) -> None:
    sights = play([[(LEFT, RED)]] * 3 + [[(LEFT, BLUE), (RIGHT, RED)]] * 3 + [[(MIDDLE, BLUE)]] * 3, cuts=(3, 6))
    assert places(sights) == [100] * 3 + [300] * 3 + [None] * 3
    assert sights[6].stranger
    # Changed light may be somebody else, and is said.
    dimmed = play([[(LEFT, RED)]] * 3 + [[(RIGHT, (170, 88, 70))]] * 3, cuts=(3,))
    assert places(dimmed) == [100] * 3 + [300] * 3 or dimmed[3].stranger
    assert dimmed[3].changed or dimmed[3].stranger


def test_people_who_cross(tracker: FaceTracker, astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    """The second one walks past in front of the first: the first's face, or none."""
    first = cv2.resize(astronaut[20:330, 90:360], None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    second = cv2.resize(grace_hopper[40:440, 90:420], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    follower = PersonFollower(tracker, lambda found: found[0])
    seen = []
    for number in range(36):
        frame = np.full((320, 800, 3), 140, np.uint8)
        place, other = 60 + 8 * number, 560 - 13 * number
        frame[20 : 20 + first.shape[0], place : place + first.shape[1]] = first
        frame[60 : 60 + second.shape[0], other : other + second.shape[1]] = second
        face = follower.step(frame).face
        seen.append(None if face is None else face.centre[0] - place)
    found = np.array([offset for offset in seen if offset is not None])
    assert np.abs(found - found[0]).max() < 15
    assert None in seen[15:28]
    assert None not in [*seen[:12], *seen[32:]]


def test_looks_are_colours_of_face_hair_and_clothes(hopper_landmarks: np.ndarray) -> None:
    def looks(colour: tuple[int, int, int], place: Place = LEFT, low: int | None = None) -> object:
        frame = painted(0, [(place, colour)])
        if low is not None:
            frame[low:] = BLUE
        return looks_of(frame, face_of(hopper_landmarks, place))

    red = looks(RED)
    assert red.zones.shape == (3, 108)
    np.testing.assert_allclose(red.zones.sum(1), 1.0, rtol=1e-5)
    assert difference(red, red) == pytest.approx(0.0, abs=1e-6)
    assert difference(red, looks(BLUE)) > 0.6
    assert 0.1 < difference(red, looks(RED, low=135)) < 0.4  # other clothes alone
    assert difference(red, looks(RED, RIGHT)) == pytest.approx(0.0, abs=0.01)
    edge = looks(RED, (200.0, 215.0, 50.0))
    assert list(edge.seen) == [True, True, False]
    assert difference(red, edge) == pytest.approx(0.0, abs=0.01)
    half = blended(red, looks(BLUE), 0.5)
    assert difference(half, red) == pytest.approx(difference(half, looks(BLUE)), abs=0.02)


def test_frames_without_the_person_cost_no_following(hopper_landmarks: np.ndarray) -> None:
    tracker = FakeTracker(hopper_landmarks, [[LEFT], *[[]] * 9])
    follower = PersonFollower(tracker)
    for number in range(10):
        follower.step(painted(number, []))
    assert tracker.followed == [1]
    assert tracker.searched == [0, 1, 4, 7]


def test_others_are_looked_for_now_and_then(hopper_landmarks: np.ndarray) -> None:
    class Glancing(FakeTracker):
        glances = 0

        def glance(self, part: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
            self.glances += 1
            return ()

    tracker = Glancing(hopper_landmarks, [[LEFT]] * 61)
    follower = PersonFollower(tracker)
    assert all(follower.step(painted(n, [(LEFT, RED)])).face is not None for n in range(61))
    assert tracker.glances == 3

