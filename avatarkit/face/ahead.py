"""Two frames looked at at a time: a mesh network alone keeps no more than one processor busy."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box
from avatarkit.face.mediapipe_windows import WindowTracker
from avatarkit.face.search import BESIDE, SMALLEST_FACE_PX
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face

__all__ = ["Ahead"]


class Ahead:
    """A `FaceTracker` that follows faces in frames to come, in threads, once it is told of them.

    Args:
        tracker: does the work, and stays open. two: whether another one like it helps; not every tracker can be had
            twice.
    """

    def __init__(self, tracker: FaceTracker, two: bool = True) -> None:
        self._tracker = tracker
        number = 2 if two and isinstance(tracker, WindowTracker) else 0
        # A thread for each tracker: none is made for several.
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="track") for _ in range(number)]
        self._second: WindowTracker | None = None
        self._started: list[tuple[NDArray[np.uint8], Box, Future[Face | None]]] = []
        self._count = 0

    @property
    def name(self) -> str:
        """The tracker's name."""
        return self._tracker.name

    def start(self, frame: NDArray[np.uint8], last: Face | None) -> None:
        """Begin what `follow` will be asked for, perhaps; it makes no difference to any answer."""
        if last is None or not self._threads:
            return
        self._count += 1
        work = self._threads[self._count % 2].submit(self._follow, self._count % 2, frame, last)
        self._started = [*self._started[-1:], (frame, last.box, work)]

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """See `FaceTracker.follow`."""
        for begun, box, work in self._started:
            if begun is frame and box == last.box:
                return work.result()
        if not self._threads:
            return self._tracker.follow(frame, last)
        return self._threads[0].submit(self._follow, 0, frame, last).result()

    def detect(
        self, picture: NDArray[np.uint8], *, least_px: float = SMALLEST_FACE_PX, beside: float = BESIDE
    ) -> tuple[Face, ...]:
        """See `FaceTracker.detect`."""
        self._rest()
        return self._tracker.detect(picture, least_px=least_px, beside=beside)

    def glance(self, part: NDArray[np.uint8]) -> tuple[Box, ...]:
        """See `FaceTracker.glance`."""
        self._rest()
        return self._tracker.glance(part)

    def close(self) -> None:
        """End the threads; the tracker stays open."""
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)
        if self._second is not None:
            self._second.close()

    def _follow(self, which: int, frame: NDArray[np.uint8], last: Face) -> Face | None:
        tracker = self._tracker
        if which:
            assert isinstance(tracker, WindowTracker)
            self._second = self._second or tracker.another()
            tracker = self._second
        return tracker.follow(frame, last)

    def _rest(self) -> None:
        """Wait until nothing is at work."""
        for _, _, work in self._started:
            work.exception()
