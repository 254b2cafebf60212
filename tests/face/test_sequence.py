"""Following one face through frames: cuts, loss, re-acquisition, choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.face.sequence import TrackedFrame, track
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import FaceChoice

from .conftest import FakeTracker, Place, plain_frames

SEARCH_EVERY = 3
MakeFake = Callable[[list[list[Place]]], FakeTracker]
HERE, NEAR, FAR = (100.0, 100.0, 40.0), (112.0, 96.0, 42.0), (400.0, 300.0, 40.0)


def follow(
    tracker: FakeTracker, script: Sequence[object], choice: FaceChoice | None = None
) -> list[TrackedFrame]:
    return list(track(plain_frames(len(script)), tracker, choice or FaceChoice(), "clip.mp4"))


def cuts_of(frames: Sequence[TrackedFrame]) -> list[int]:
    return [number for number, frame in enumerate(frames) if frame.cut]


def centre_of(frame: TrackedFrame) -> tuple[float, float]:
    assert frame.landmarks is not None
    low, high = frame.landmarks[:468, :2].min(0), frame.landmarks[:468, :2].max(0)
    return tuple((low + high) / 2)


# A real tracker.


def test_real_tracker_across_a_cut_and_a_gap(
    tracker: FaceTracker, astronaut: np.ndarray, grace_hopper: np.ndarray
) -> None:
    hidden = grace_hopper.copy()
    hidden[100:360, 140:380] = np.random.default_rng(0).integers(0, 256, (260, 240, 3))
    portrait = grace_hopper[:512]
    frames = [portrait] * 5 + [hidden[:512]] * 4 + [portrait] * 5 + [astronaut] * 6 + [portrait] * 4
    result = list(track(frames, tracker, FaceChoice(), "clip.mp4"))
    assert len(result) == len(frames)
    assert cuts_of(result) == [14, 20]
    missing = [number for number, frame in enumerate(result) if frame.landmarks is None]
    assert missing[:4] == [5, 6, 7, 8]
    gap = [number for number in missing if number < 14]
    assert max(gap) < 9 + SEARCH_EVERY
    # A cut to somebody else shows nobody, and says so; a cut back shows the person again.
    assert missing[len(gap) :] == list(range(14, 20))
    assert [result[14].stranger, result[20].stranger, result[20].changed] == [True, False, False]


# The order of searching and following, against a tracker that is told what it sees.


@pytest.mark.parametrize(
    "script",
    [
        [],
        [[]],
        [[HERE]],
        [[]] * 7,
        [[HERE], [], [NEAR], [], [], [], [], [FAR]],
        [[], [], [HERE, FAR], [FAR], [HERE]],
    ],
)
def test_one_result_for_each_frame(fake: MakeFake, script: list[list[Place]]) -> None:
    assert len(follow(fake(script), script)) == len(script)


def test_nothing_is_read_ahead(fake: MakeFake) -> None:
    taken = []

    def frames() -> object:
        for frame in plain_frames(5):
            taken.append(frame)
            yield frame

    results = track(frames(), fake([[HERE]] * 5), FaceChoice(), "clip.mp4")
    next(results)
    assert len(taken) == 1


def test_a_seen_face_is_followed_not_searched(fake: MakeFake) -> None:
    tracker = fake([[HERE]] * 10)
    result = follow(tracker, [0] * 10)
    assert tracker.searched == [0]
    assert tracker.followed == list(range(1, 10))
    assert all(frame.landmarks is not None for frame in result)


def test_lost_and_found_nearby_is_one_shot(fake: MakeFake) -> None:
    script = [[HERE]] * 3 + [[]] * 4 + [[NEAR]] * 6
    result = follow(fake(script), script)
    assert cuts_of(result) == []
    seen = [frame.landmarks is not None for frame in result]
    assert seen[:7] == [True] * 3 + [False] * 4
    assert all(seen[6 + SEARCH_EVERY :])
    assert centre_of(result[-1]) == pytest.approx(NEAR[:2], abs=0.1)


def test_lost_and_found_far_away_is_a_new_shot(fake: MakeFake) -> None:
    script = [[HERE]] * 3 + [[]] * 3 + [[FAR]] * 6
    result = follow(fake(script), script)
    (cut,) = cuts_of(result)
    assert result[cut].landmarks is not None
    assert all(frame.landmarks is None for frame in result[3:cut])
    assert 6 <= cut < 6 + SEARCH_EVERY


def test_jump_from_one_frame_to_the_next_is_a_new_shot(fake: MakeFake) -> None:
    """Two people in front of one wall: the picture hardly changes, but the face is another one."""
    script = [[HERE]] * 4 + [[FAR]] * 4
    result = follow(fake(script), script)
    assert all(frame.landmarks is not None for frame in result)
    assert cuts_of(result) == [4]


def test_much_larger_face_at_the_same_place_is_a_new_shot(fake: MakeFake) -> None:
    script = [[HERE]] * 3 + [[]] * 3 + [[(100.0, 100.0, 200.0)]] * 4
    assert len(cuts_of(follow(fake(script), script))) == 1


def test_another_face_is_never_taken_for_the_same_shot(fake: MakeFake) -> None:
    large = (300.0, 200.0, 90.0)
    script = [[HERE, large]] * 3 + [[large]] * 3 + [[NEAR, large]] * 6
    result = follow(fake(script), script, FaceChoice(index=0))
    # While the chosen face is hidden the other one may be shown, but that is a new shot.
    for before, after in pairwise(result):
        if before.landmarks is not None and after.landmarks is not None and not after.cut:
            assert np.hypot(*np.subtract(centre_of(before), centre_of(after))) < 40


def test_cut_before_a_frame_without_face_is_counted_once(fake: MakeFake) -> None:
    script = [[HERE]] * 5 + [[]] * 3 + [[FAR]] * 6
    frames = plain_frames(len(script))
    for frame in frames[5:]:
        frame[1:] = 250
    result = list(track(frames, fake(script), FaceChoice(), "clip.mp4"))
    assert cuts_of(result) == [5]


def test_after_a_cut_the_largest_face_is_taken(fake: MakeFake) -> None:
    large = (350.0, 200.0, 90.0)
    script = [[HERE]] * 4 + [[HERE, large]] * 4
    frames = plain_frames(len(script))
    for frame in frames[4:]:
        frame[1:] = 250
    result = list(track(frames, fake(script), FaceChoice(), "clip.mp4"))
    assert cuts_of(result) == [4]
    assert centre_of(result[4]) == pytest.approx(large[:2], abs=0.1)


@pytest.mark.parametrize(
    ("choice", "place"),
    [(FaceChoice(), FAR), (FaceChoice(index=0), HERE), (FaceChoice(at=(90.0, 95.0)), HERE)],
)
def test_choice_holds_where_faces_first_appear(fake: MakeFake, choice: FaceChoice, place: Place) -> None:
    bigger = (*FAR[:2], 60.0)
    script: list[list[Place]] = [[], [], [], [HERE, bigger], [HERE, bigger], [HERE, bigger]]
    result = follow(fake(script), script, choice)
    assert [frame.landmarks is None for frame in result] == [True] * 3 + [False] * 3
    assert centre_of(result[-1]) == pytest.approx(place[:2], abs=0.1)


def test_choice_that_is_not_there(fake: MakeFake) -> None:
    with pytest.raises(
        InputError, match=r"clip\.mp4: there is no face 2; 1 found.*first frame that shows a face"
    ):
        follow(fake([[], [HERE]] * 4), [0] * 8, FaceChoice(index=2))


def test_two_frames_at_a_time_give_the_same(
    tracker: FaceTracker, astronaut: np.ndarray, grace_hopper: np.ndarray
) -> None:
    shifted = [np.roll(astronaut, 9 * n, axis=1) for n in range(6)]
    frames = [*shifted, grace_hopper[:512], *shifted[:2]]
    one, two = (list(track(frames, tracker, FaceChoice(), "clip.mp4", ahead=ahead)) for ahead in (False, True))
    for single, double in zip(one, two, strict=True):
        assert (single.landmarks is None) == (double.landmarks is None)
        if single.landmarks is not None:
            np.testing.assert_array_equal(single.landmarks, double.landmarks)
        assert (single.cut, single.stranger, single.eyes) == (double.cut, double.stranger, double.eyes)
    assert sum(frame.landmarks is not None for frame in two) >= 6


def test_an_error_in_the_frames_ends_it_ahead_too(tracker: FaceTracker, astronaut: np.ndarray) -> None:
    def frames() -> object:
        yield from [astronaut] * 3
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        list(track(frames(), tracker, FaceChoice(), "clip.mp4", ahead=True))
