"""The face trackers by name; `auto` takes the first that can run with what is installed and in the cache."""

from __future__ import annotations

from avatarkit.face.tracker import FaceTracker
from avatarkit.weights.choice import Candidate, choose, names

__all__ = ["TRACKERS", "open_tracker"]


def _facemesh() -> FaceTracker:
    from avatarkit.face.mediapipe_tracker import MediaPipeTracker

    return MediaPipeTracker()


def _tasks() -> FaceTracker:
    from avatarkit.face.mediapipe_tasks import MediaPipeTasksTracker

    return MediaPipeTasksTracker.from_registry()


# The older face mesh comes first: it is inside its wheel, and its lips, lids and irises have networks of their own.
_CANDIDATES: tuple[Candidate[FaceTracker], ...] = (
    Candidate("mediapipe", _facemesh),
    Candidate("mediapipe-tasks", _tasks, "face-landmarker", "a face mesh for this MediaPipe"),
)

TRACKERS = names(_CANDIDATES)
"""What `--tracker` may be set to."""


def open_tracker(name: str = "auto") -> FaceTracker:
    """A tracker by name; nothing is downloaded. The caller closes it.

    "auto" takes MediaPipe's older face mesh where the installed version has it, else Tasks' where its bundle is in the
    cache.

    Raises:
        UsageError: no such name.
        DependencyError: the one named cannot run here, or with "auto" none can; the message says how to get one.
    """
    return choose("--tracker", name, _CANDIDATES).model
