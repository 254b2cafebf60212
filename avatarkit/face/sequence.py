"""Following one face through a video: cuts, loss and re-acquisition."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError, UsageError
from avatarkit.face.search import BESIDE_MOVING, least_px
from avatarkit.face.select import choose
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import LANDMARKS, Face, FaceChoice

# A cut changes the thumbnail by this many grey levels on average, and by this many times the usual change.
CUT_LEVELS, CUT_RATIO = 20.0, 4.0
# A face found again farther than this (in face sizes) from where it was lost is somebody else.
NEW_SHOT_SIZES = 1.2
# While nothing is found, the wide search runs on every n-th frame only: it costs more than following.
SEARCH_EVERY = 3


@dataclass(frozen=True)
class TrackedFrame:
    """One video frame: landmarks float32 (478, 3) or None, and whether a new shot begins here."""

    landmarks: NDArray[np.float32] | None
    cut: bool


class CutDetector:
    """Tells whether a frame begins a new shot, from thumbnails of this frame and the ones before."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=25)

    def is_cut(self, frame: NDArray[np.uint8]) -> bool:
        """Look at the next frame (H, W, 3); the first one is never a cut."""
        import cv2

        height, width = frame.shape[:2]
        step = max(1, min(height, width) // 180)
        # Every n-th pixel first: to average all of them takes as long as the rest of the work on a frame's crop.
        few = cv2.resize(frame, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_NEAREST)
        small = cv2.resize(few, (48, 32), interpolation=cv2.INTER_AREA)
        thumbnail = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if self._last is None:
            self._last = thumbnail
            return False
        change = float(np.abs(thumbnail - self._last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._last = thumbnail
        cut = change > max(CUT_LEVELS, CUT_RATIO * usual)
        if cut:
            self._changes.clear()
        else:
            self._changes.append(change)
        return cut


def track(
    frames: Iterable[NDArray[np.uint8]], tracker: FaceTracker, choice: FaceChoice, where: str
) -> Iterator[TrackedFrame]:
    """Follow one face; yields exactly one `TrackedFrame` for each frame.

    Args:
        frames: RGB uint8 (H, W, 3) in order.
        tracker: finds and follows.
        choice: which face, where the first face appears; afterwards it is followed by place and size.
        where: the video's name, for messages.

    Raises:
        InputError: the choice names a face that is not there when faces first appear.
        UsageError: the tracker gives sparse faces.
    """
    cuts = CutDetector()
    last: Face | None = None
    lost_for, chosen = 0, False
    for frame in frames:
        cut = cuts.is_cut(frame)
        if cut:
            last, lost_for = None, 0
        face = None if last is None or lost_for else tracker.follow(frame, last)
        if face is None and lost_for % SEARCH_EVERY == 0:
            least = least_px(last.extent_px if last else None, lost_for)
            found = tracker.detect(frame, least_px=least, beside=BESIDE_MOVING)
            if found:
                face = _again(found, last) if chosen else _first(found, choice, where)
                chosen = True
                cut = cut or (last is not None and _far(face, last))
        if face is None:
            lost_for += 1
        else:
            if not face.dense:
                raise UsageError(
                    f"{tracker.name} gives {len(face.landmarks)} landmarks, and following a face for its motion needs"
                    f" {LANDMARKS}; use another tracker"
                )
            last, lost_for = face, 0
        yield TrackedFrame(None if face is None else face.landmarks, cut)


def _first(found: tuple[Face, ...], choice: FaceChoice, where: str) -> Face:
    try:
        return choose(found, choice, where)
    except InputError as error:
        raise InputError(f"{error} in the first frame that shows a face") from error


def _again(found: tuple[Face, ...], last: Face | None) -> Face:
    """After a cut the largest face; otherwise the one nearest to where it was lost."""
    if last is None:
        return max(found, key=lambda face: face.extent_px)
    return min(found, key=lambda face: _distance(face, last))


def _distance(face: Face, last: Face) -> float:
    """Distance of two faces in sizes of the last one, with the change of size counted in."""
    shift = np.hypot(face.centre[0] - last.centre[0], face.centre[1] - last.centre[1]) / last.extent_px
    return float(shift + abs(np.log(face.extent_px / last.extent_px)))


def _far(face: Face, last: Face) -> bool:
    return _distance(face, last) > NEW_SHOT_SIZES
