"""One person through a video, frame by frame: landmarks or their lack, and where shots begin."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.ahead import Ahead
from avatarkit.face.cuts import Change, CutDetector
from avatarkit.face.person import PersonFollower
from avatarkit.face.search import BESIDE, BESIDE_MOVING
from avatarkit.face.select import choose
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, FaceChoice
from avatarkit.face.visibility import eye_contrast

Frame = NDArray[np.uint8]
Changed = tuple[Frame, Change]


@dataclass(frozen=True)
class TrackedFrame:
    """One video frame: landmarks float32 (478, 3) or None, and whether a new shot begins here.

    stranger: there are faces, none of them the person's. changed: the face after a cut may be somebody else's.
    eyes: contrast within the right and the left eye, which says whether they are seen (`face.visibility`).
    """

    landmarks: NDArray[np.float32] | None
    cut: bool
    stranger: bool = False
    changed: bool = False
    eyes: tuple[float, float] = (1.0, 1.0)


def track(
    frames: Iterable[Frame], tracker: FaceTracker, choice: FaceChoice, where: str, *, ahead: bool = False
) -> Generator[TrackedFrame, None, None]:
    """Follow one person; yields exactly one `TrackedFrame` for each frame.

    With `ahead`, close what this gives before the tracker, wherever it is not read to its end.

    Args:
        frames: RGB uint8 (H, W, 3) in order.
        tracker: finds and follows.
        choice: which face, where the first face appears; afterwards its owner is followed, by place and looks.
        where: the video's name, for messages.
        ahead: whether to look at two frames at a time where the tracker can; the result is the same.

    Raises:
        InputError: the choice names a face that is not there when faces first appear.
    """
    named = choice.index is not None or choice.at is not None
    with closing(Ahead(tracker, ahead)) as looking:
        follower = PersonFollower(
            looking,
            lambda found: _first(found, choice, where),
            beside=BESIDE if named else BESIDE_MOVING,
        )
        for (frame, change), following in _with_next(_changes(frames), ahead):
            if change.cut:
                follower.cut()
            if following is not None and not following[1].cut:
                looking.start(following[0], follower.upcoming(change.moved, following[1].moved))
            sight = follower.step(frame, change.moved)
            landmarks = None if sight.face is None else sight.face.landmarks
            right, left = (1.0, 1.0) if landmarks is None else eye_contrast(frame, landmarks).tolist()
            yield TrackedFrame(landmarks, change.cut or sight.jumped, sight.stranger, sight.changed, (right, left))


def _changes(frames: Iterable[Frame]) -> Iterator[Changed]:
    cuts = CutDetector()
    for frame in frames:
        yield frame, cuts.look(frame)


def _with_next(frames: Iterator[Changed], ahead: bool) -> Iterator[tuple[Changed, Changed | None]]:
    """Each frame with the one after it; None after the last one, and where none is to be read ahead."""
    if not ahead:
        yield from zip(frames, repeat(None))
        return
    for frame, following in pairwise(chain(frames, [None])):
        assert frame is not None
        yield frame, following


def _first(found: tuple[Face, ...], choice: FaceChoice, where: str) -> Face:
    try:
        return choose(found, choice, where)
    except InputError as error:
        raise InputError(f"{error} in the first frame that shows a face") from error
