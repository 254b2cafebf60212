"""The face trackers by name; `auto` takes the first that can run with what is installed and in the cache."""

from __future__ import annotations

from avatarkit.face.tracker import FaceTracker
from avatarkit.weights.choice import Candidate, choose, names

__all__ = ["TRACKERS", "open_tracker"]


def _facemesh() -> FaceTracker:
    from avatarkit.face.mediapipe_tracker import MediaPipeTracker

    return MediaPipeTracker()


_CANDIDATES: tuple[Candidate[FaceTracker], ...] = (Candidate("mediapipe", _facemesh),)

TRACKERS = names(_CANDIDATES)
"""What `--tracker` may be set to."""


def open_tracker(name: str = "auto") -> FaceTracker:
    """A tracker by name; nothing is downloaded. The caller closes it.

    Raises:
        UsageError: no such name.
        DependencyError: the one named cannot run here, or with "auto" none can; the message says how to get one.
    """
    return choose("--tracker", name, _CANDIDATES).model


def open_dense_tracker(name: str = "auto") -> FaceTracker:
    """As `open_tracker`, for jobs that need all 478 landmarks of a face."""
    return open_tracker(name)
