"""Figures of a tracker, with a tracker that knows what it will see."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avatarkit.errors import DependencyError
from avatarkit.face import open as face_open
from avatarkit.face.landmarks import LOWER_LIDS, UPPER_LIDS
from avatarkit.head.coordinates import eye_opening, head_frame, mouth_opening
from avatarkit.systems.megaportraits.stages.tracked import TRACKED_PX, tracked_figures


def points(seed: int) -> np.ndarray:
    """Landmarks with eyes and a mouth of some size."""
    draw = np.random.default_rng(seed)
    result = draw.uniform(60, 200, (478, 3))
    for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
        result[list(upper), 0] = result[list(lower), 0] = np.linspace(100, 130, len(upper))
    return result


class Knowing:
    """Gives the faces of its list one after another, and keeps what it was shown."""

    def __init__(self, faces: list[np.ndarray | None]) -> None:
        self.faces, self.shown, self.closed = faces, [], False

    def detect(self, picture: np.ndarray, **how: float) -> tuple[SimpleNamespace, ...]:
        self.shown.append(picture)
        face = self.faces[len(self.shown) - 1]
        return () if face is None else (SimpleNamespace(landmarks=face), SimpleNamespace(landmarks=face * 0.1))

    def close(self) -> None:
        self.closed = True


def frames(mouth: float, lids: float) -> dict[str, torch.Tensor]:
    return {
        "mouth_opening": torch.full((2,), mouth),
        "eye_opening": torch.full((2, 2), lids),
        "head": torch.eye(4).expand(2, 4, 4) * torch.tensor([0.8, 0.8, 0.8, 1.0]),
    }


def test_each_picture_is_held_against_its_own_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Knowing([points(0), None, points(1), points(2)])
    monkeypatch.setattr(face_open, "open_tracker", lambda: tracker)
    drawn = {"": torch.zeros(2, 3, 64, 64), "cross_": torch.ones(2, 3, 64, 64)}
    figures = tracked_figures(drawn, frames(0.5, 0.3), [frames(0.1, 0.2), frames(0.4, 0.1)])
    assert [int(picture.max()) for picture in tracker.shown] == [0, 0, 255, 255]
    assert all(picture.shape == (TRACKED_PX, TRACKED_PX, 3) for picture in tracker.shown)
    assert tracker.closed
    assert figures["face_seen"].tolist() == [1, 0]
    assert figures["copy_mouth_opening_error"].tolist() == pytest.approx([0.4, 0.4])
    assert figures["copy_cross_lid_opening_error"].tolist() == pytest.approx([0.2, 0.2])
    first = figures["mouth_opening_error"].tolist()
    assert first[0] == pytest.approx(abs(mouth_opening(points(0)[:, :2]) - 0.1), abs=1e-5)
    assert math.isnan(first[1])
    lids = figures["cross_lid_opening_error"].tolist()
    assert lids[1] == pytest.approx(np.abs(eye_opening(points(2)[:, :2]) - 0.1).mean(), abs=1e-5)
    turn = head_frame(points(1)).rotation
    wanted = math.degrees(math.acos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    assert figures["cross_pose_error_deg"][0].item() == pytest.approx(wanted, abs=1e-2)


def test_without_a_tracker_there_are_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> object:
        raise DependencyError("no face tracker")

    monkeypatch.setattr(face_open, "open_tracker", none)
    assert tracked_figures({"": torch.zeros(2, 3, 64, 64)}, frames(0, 0), [frames(0, 0)]) == {}
