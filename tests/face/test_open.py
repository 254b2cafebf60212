"""Trackers by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avatarkit.errors import DependencyError, UsageError
from avatarkit.face import mediapipe_tasks, mediapipe_tracker
from avatarkit.face.open import TRACKERS, open_tracker


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))


@pytest.fixture
def newer_mediapipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the installed MediaPipe had Tasks only."""
    monkeypatch.setitem(sys.modules, "mediapipe.solutions", None)
    monkeypatch.delattr("mediapipe.solutions", raising=False)


def test_names() -> None:
    assert TRACKERS == ("auto", "mediapipe", "mediapipe-tasks")


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match="--tracker dlib: use one of auto, mediapipe, mediapipe-tasks"):
        open_tracker("dlib")


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


@pytest.mark.usefixtures("newer_mediapipe", "no_weights")
def test_auto_without_any_says_the_command() -> None:
    with pytest.raises(DependencyError, match="avatarkit weights fetch face-landmarker") as caught:
        open_tracker()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_weights")
def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(DependencyError, match="avatarkit weights fetch face-landmarker"):
        open_tracker("mediapipe-tasks")


TWO_AT_ONCE = """
from threading import Barrier, Thread
from avatarkit.background.mediapipe_matting import MediaPipeMatting
from avatarkit.face.open import open_tracker
together = Barrier(2)
def first():
    together.wait()
    MediaPipeMatting()
    print("matte")
def second():
    together.wait()
    open_tracker("mediapipe").close()
    print("tracker")
threads = [Thread(target=item) for item in (first, second)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_two_threads_may_open_mediapipe_at_the_same_time() -> None:
    """A portrait's layers are made while its driver is tracked, and MediaPipe's package bears one import at a time."""
    call = [sys.executable, "-c", TWO_AT_ONCE]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=600, check=False)
    assert sorted(ended.stdout.split()) == ["matte", "tracker"], ended.stderr[-500:]
