"""Where one clip ends and the next begins, told by a tracker and pieces that are plain data."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from avatarkit.data.clip import Rejected
from avatarkit.face.cuts import Change
from avatarkit.face.types import Face
from avatarkit.prepare import runs
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import Track
from avatarkit.prepare.piece import PieceLabel
from avatarkit.prepare.runs import FreeRun

FRAME = np.zeros((400, 600, 3), np.uint8)
LABEL = PieceLabel("v", "v", "v", "", "train", "", "", "", "25", 0.0, {})


class Guarded:
    """A tracker that sees what it is told, one entry a frame; it never follows, so that each frame is searched."""

    name = "told"

    def __init__(self) -> None:
        self.now: Face | None = None

    def detect(self, picture: np.ndarray, **search: float) -> tuple[Face, ...]:
        return (self.now,) if self.now else ()

    def follow(self, frame: np.ndarray, last: Face) -> Face | None:
        return None

    def glance(self, part: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
        return ()

    def close(self) -> None: ...


class Noted:
    """A piece that keeps the frame numbers it was given; `close` says them in a rejection's detail."""

    hopeless_after = 10**9

    def __init__(self, label: PieceLabel, config: PrepareConfig, tools: object) -> None:
        self.label, self.numbers = label, list[int]()

    @property
    def frames(self) -> int:
        return len(self.numbers)

    def add(self, number: int, frame: np.ndarray, face: Face) -> None:
        self.numbers.append(number)

    def hopeless(self) -> Rejected | None:
        small = self.frames >= self.hopeless_after
        return self.label.rejected("crop", "too-small", "") if small else None

    def close(self, note: str = "") -> Rejected:
        detail = f"{self.numbers[0]}-{self.numbers[-1]}"
        return self.label.rejected("track", "noted", f"{self.label.clip_id} {detail} {note}".strip())


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`shown(faces, cuts=(), **settings)`: the details of what a free run gives for a face or None a frame."""
    monkeypatch.setattr(runs, "Piece", Noted)

    def play(faces: list[Face | None], cuts: tuple[int, ...] = (), problem: str = "", **settings: int) -> list[str]:
        told = Guarded()
        config = PrepareConfig(**{"min_frames": 2, "max_frames": 250, **settings})
        tools = SimpleNamespace(tracker=told)
        run = FreeRun(Track("v", "v", "", "train"), LABEL, config, tools)  # type: ignore[arg-type]
        results = []
        for number, face in enumerate(faces):
            told.now = face
            results += run.step(number, FRAME, Change(number in cuts))
        results += run.finish(problem, "truncated")
        return [r.detail if r.reason == "noted" else r.reason for r in results if isinstance(r, Rejected)]

    return play


def test_one_find_is_one_clip(shown: Callable[..., list[str]], dense_face: Face) -> None:
    assert shown([dense_face] * 5) == ["v-00 0-4"]


def test_cut_begins_another(shown: Callable[..., list[str]], dense_face: Face) -> None:
    assert shown([dense_face] * 6, cuts=(4,)) == ["v-00 0-3", "v-01 4-5"]


def test_somebody_elsewhere_begins_another_even_without_a_cut(
    shown: Callable[..., list[str]], dense_face: Face, moved: Callable[..., Face]
) -> None:
    other = moved(dense_face, 220, 0)
    assert shown([dense_face] * 3 + [other] * 3) == ["v-00 0-2", "v-01 3-5"]


def test_short_gap_goes_on_and_a_long_one_ends(shown: Callable[..., list[str]], dense_face: Face) -> None:
    assert shown([dense_face] * 3 + [None] * 12 + [dense_face] * 3) == ["v-00 0-17"]
    # Whoever comes after that is searched for on every third frame.
    long = [dense_face] * 3 + [None] * 15 + [dense_face] * 3
    assert shown(long) == ["v-00 0-2", "v-01 19-20"]


def test_long_find_is_divided_and_its_short_rest_left(shown: Callable[..., list[str]], dense_face: Face) -> None:
    assert shown([dense_face] * 9, max_frames=4) == ["v-00 0-3", "v-01 4-7"]
    assert shown([dense_face] * 10, max_frames=4) == ["v-00 0-3", "v-01 4-7", "v-02 8-9"]
    # Numbers have no holes: what is left unused gives its number to the next.
    assert shown([dense_face] * 12, max_frames=4, cuts=(9,)) == ["v-00 0-3", "v-01 4-7", "v-02 9-11"]


def test_rest_of_a_shot_with_a_hopeless_head_is_skipped(
    shown: Callable[..., list[str]], dense_face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Noted, "hopeless_after", 3)
    assert shown([dense_face] * 40, cuts=(30, 38)) == ["too-small", "too-small", "v-02 38-39"]


def test_end_of_a_broken_video_is_noted(shown: Callable[..., list[str]], dense_face: Face) -> None:
    assert shown([dense_face] * 4, problem="is cut short") == ["v-00 0-3 is cut short"]
    assert shown([None] * 4, problem="is cut short") == ["truncated"]
    assert shown([None] * 4) == ["no-face"]
    assert shown([]) == ["no-face"]
