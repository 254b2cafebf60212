"""What every face tracker can do; `open.py` has them by name."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box
from avatarkit.face.search import BESIDE, SMALLEST_FACE_PX
from avatarkit.face.types import Face


class FaceTracker(Protocol):
    """Finds faces in pictures, and follows one face through a video.

    Implementations accept RGB uint8 (H, W, 3) and return `Face`s with landmarks in pixels of that picture: 478 of
    them.
    They are used from one thread and closed when done.
    """

    @property
    def name(self) -> str:
        """Name and version, as it goes into reports."""
        ...

    def detect(
        self, picture: NDArray[np.uint8], *, least_px: float = SMALLEST_FACE_PX, beside: float = BESIDE
    ) -> tuple[Face, ...]:
        """All faces of one picture, from left to right; the same picture gives the same answer.

        least_px: smallest face worth a closer search; smaller ones that are seen anyway are given too.
        beside: the same as a share of the largest face seen: the larger it is, the sooner the search is over.
        """
        ...

    def glance(self, part: NDArray[np.uint8]) -> tuple[Box, ...]:
        """Boxes of the faces in a small part of a frame, a sixth of its side or more: cheaper than following one."""
        ...

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """The face `last` of the frame before, in this frame; None when it is not there any more."""
        ...

    def close(self) -> None:
        """Release native resources."""
        ...
