"""The face trackers by name; `auto` takes the first that can run with what is installed and in the cache."""

from __future__ import annotations

from avatarkit.errors import UsageError
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import LANDMARKS, SPARSE_LANDMARKS
from avatarkit.weights.choice import Candidate, choose, names

__all__ = ["DENSE_TRACKERS", "TRACKERS", "open_dense_tracker", "open_tracker"]

_OPTION = "--tracker"


def _facemesh() -> FaceTracker:
    from avatarkit.face.mediapipe_tracker import MediaPipeTracker

    return MediaPipeTracker()


def _tasks() -> FaceTracker:
    from avatarkit.face.mediapipe_tasks import MediaPipeTasksTracker

    return MediaPipeTasksTracker.from_registry()


def _face_alignment() -> FaceTracker:
    from avatarkit.devices import choose_device
    from avatarkit.face.face_alignment_tracker import FaceAlignmentTracker

    return FaceAlignmentTracker.from_registry(choose_device())


# The older face mesh comes first: it is inside its wheel, and its lips, lids and irises have networks of their own.
_DENSE: tuple[Candidate[FaceTracker], ...] = (
    Candidate("mediapipe", _facemesh),
    Candidate("mediapipe-tasks", _tasks, "face-landmarker", "a face mesh for this MediaPipe"),
)
_SPARSE: tuple[Candidate[FaceTracker], ...] = (Candidate("face-alignment", _face_alignment),)

DENSE_TRACKERS = names(_DENSE)
"""What `--tracker` may be set to where all 478 landmarks are needed."""
TRACKERS = names((*_DENSE, *_SPARSE))
"""What `--tracker` may be set to where a face's box and 68 landmarks do."""


def open_tracker(name: str = "auto") -> FaceTracker:
    """A tracker by name; nothing is downloaded. The caller closes it.

    "auto" takes MediaPipe's older face mesh where the installed version has it, else Tasks' where its bundle is in the
    cache; never a sparse tracker.

    Raises:
        UsageError: no such name.
        DependencyError: the one named cannot run here, or with "auto" none can; the message says how to get one.
    """
    candidates = _DENSE if name == "auto" else (*_DENSE, *_SPARSE)
    return choose(_OPTION, name, candidates).model


def open_dense_tracker(name: str = "auto") -> FaceTracker:
    """As `open_tracker`, for jobs that need all 478 landmarks of a face.

    Raises:
        UsageError: also for a tracker that gives fewer.
    """
    if any(name == candidate.name for candidate in _SPARSE):
        raise UsageError(
            f"{_OPTION} {name}: gives {SPARSE_LANDMARKS} landmarks, and this needs {LANDMARKS};"
            f" use one of {', '.join(DENSE_TRACKERS)}"
        )
    return open_tracker(name)
