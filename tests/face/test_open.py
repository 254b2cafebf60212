"""Trackers by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from avatarkit.errors import DependencyError, UsageError
from avatarkit.face import mediapipe_tasks, mediapipe_tracker
from avatarkit.face.open import DENSE_TRACKERS, TRACKERS, open_dense_tracker, open_tracker


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))


@pytest.fixture
def newer_mediapipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the installed MediaPipe had Tasks only."""
    monkeypatch.setitem(sys.modules, "mediapipe.solutions", None)
    monkeypatch.delattr("mediapipe.solutions", raising=False)


def test_names() -> None:
    assert TRACKERS == ("auto", "mediapipe", "mediapipe-tasks", "face-alignment")
    assert DENSE_TRACKERS == ("auto", "mediapipe", "mediapipe-tasks")


@pytest.mark.parametrize("opener", [open_tracker, open_dense_tracker])
def test_unknown_name(opener) -> None:
    with pytest.raises(UsageError, match="--tracker dlib: use one of auto, mediapipe, mediapipe-tasks"):
        opener("dlib")


def test_sparse_tracker_is_refused_where_478_are_needed() -> None:
    with pytest.raises(UsageError, match=r"^--tracker face-alignment: gives 68 landmarks, and this needs 478; use"):
        open_dense_tracker("face-alignment")


def test_auto_takes_the_older_face_mesh_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made = object()
    monkeypatch.setattr(mediapipe_tracker, "MediaPipeTracker", lambda: made)
    assert open_tracker() is made


@pytest.mark.usefixtures("newer_mediapipe")
def test_auto_takes_tasks_where_its_bundle_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made = object()
    monkeypatch.setattr("avatarkit.weights.choice.present", lambda name: name == "face-landmarker")
    monkeypatch.setattr(mediapipe_tasks.MediaPipeTasksTracker, "from_registry", lambda: made)
    assert open_tracker() is made
    assert open_dense_tracker() is made


@pytest.mark.usefixtures("newer_mediapipe", "no_weights")
def test_auto_without_any_says_the_command() -> None:
    with pytest.raises(DependencyError, match="avatarkit weights fetch face-landmarker") as caught:
        open_tracker()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_weights")
def test_auto_never_takes_the_sparse_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise DependencyError("no mediapipe")

    monkeypatch.setattr(mediapipe_tracker, "MediaPipeTracker", broken)
    with pytest.raises(DependencyError, match="no mediapipe"):
        open_tracker("auto")


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    ("name", "command"), [("mediapipe-tasks", "fetch face-landmarker"), ("face-alignment", "fetch s3fd 2dfan4")]
)
def test_missing_weights_say_how_to_get_them(name: str, command: str) -> None:
    if name == "face-alignment":
        pytest.importorskip("torch")
    with pytest.raises(DependencyError, match=f"avatarkit weights {command}"):
        open_tracker(name)
