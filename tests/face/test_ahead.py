"""Two frames at a time: half of them by a second tracker, and none at work once it is closed."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from avatarkit.face.ahead import Ahead
from avatarkit.face.mediapipe_windows import WindowTracker
from avatarkit.face.sequence import track
from avatarkit.face.types import Face, FaceChoice, face_from_landmarks

STEP = 3


class Moving(WindowTracker):
    """Finds a face where a frame's first two pixels say that it is."""

    name = "moving"
    _reach = 0.1

    def __init__(self) -> None:
        super().__init__(0.5)
        self.followed: list[int] = []
        self.others: list[Moving] = []
        self.closed = self.within = 0
        self.pause = threading.Event()
        self.pause.set()

    def another(self) -> Moving:
        """One that pauses with this one."""
        self.others.append(Moving())
        self.others[-1].pause = self.pause
        return self.others[-1]

    def close(self) -> None:
        """Nothing may be at work."""
        assert self.within == 0
        self.closed += 1

    def follow(self, frame: np.ndarray, last: Face) -> Face | None:
        """The face of the frame, whatever the last one."""
        self.within += 1
        self.pause.wait(10.0)
        self.followed.append(int(frame[0, 0, 0]))
        self.within -= 1
        return face_of(frame)

    def detect(self, picture: np.ndarray, *, least_px: float = 0.0, beside: float = 0.0) -> tuple[Face, ...]:
        """That face."""
        assert self.within == 0
        return (face_of(picture),)

    def _boxes(self, part: np.ndarray, *, whole: bool) -> list[object]:
        return []

    def _near(self, part: np.ndarray) -> list[object]:
        return []

    def _mesh(self, part: np.ndarray) -> None:
        return None


def face_of(frame: np.ndarray) -> Face:
    grid = np.stack(np.meshgrid(np.linspace(-30, 30, 22), np.linspace(-40, 40, 22)), axis=-1).reshape(-1, 2)[:478]
    middle = np.array([100.0 + STEP * frame[0, 0, 0], 100.0])
    return face_from_landmarks(np.concatenate([grid + middle, np.zeros((478, 1))], axis=1).astype(np.float32), 1.0)


def moving_frames(count: int) -> list[np.ndarray]:
    """A textured picture that moves with the face, so that the camera seems to."""
    ground = np.random.default_rng(0).integers(0, 255, (200, 320, 3)).astype(np.uint8)
    frames = [np.roll(ground, STEP * n, axis=1) for n in range(count)]
    for n, frame in enumerate(frames):
        frame[0, 0, 0] = n
    return frames


@pytest.mark.parametrize("moved", [True, False])
def test_a_second_tracker_looks_at_half_of_the_frames(moved: bool) -> None:
    tracker, frames = Moving(), moving_frames(12)
    if not moved:
        frames = [frames[0].copy() for _ in range(12)]
    tracked = list(track(frames, tracker, FaceChoice(), "clip.mp4", ahead=True))
    assert len(tracked) == 12
    (second,) = tracker.others
    assert min(len(tracker.followed), len(second.followed)) >= 4
    assert (second.closed, tracker.closed) == (1, 0)
    alone = list(track(frames, Moving(), FaceChoice(), "clip.mp4"))
    for one, other in zip(tracked, alone, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_closed_early_nothing_is_at_work() -> None:
    tracker, frames = Moving(), moving_frames(8)
    tracked = track(frames, tracker, FaceChoice(), "clip.mp4", ahead=True)
    for _ in range(3):
        next(tracked)
    tracker.pause.clear()
    threading.Timer(0.2, tracker.pause.set).start()
    tracked.close()
    tracker.close()
    assert [second.closed for second in tracker.others] == [1]


def test_a_face_that_was_not_expected_is_followed_all_the_same() -> None:
    tracker, frames = Moving(), moving_frames(2)
    looking = Ahead(tracker)
    face = face_of(frames[0])
    looking.start(frames[1], replace(face, box=(0.0, 0.0, 9.0, 9.0)))
    found = looking.follow(frames[1], face)
    assert found is not None
    np.testing.assert_array_equal(found.landmarks, face_of(frames[1]).landmarks)
    looking.close()
