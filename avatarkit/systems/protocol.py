"""What an engine is given and what it returns."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.motion.transfer import DriveFrame


@dataclass(frozen=True)
class WiderLayers:
    """Foreground (h, w, 3) and matte (h, w) of more of the picture than is drawn, at the drawn part's scale.

    left, top: position of the drawn part's first pixel in them.
    """

    foreground: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    left: int
    top: int


@dataclass(frozen=True)
class SourceLayers:
    """One source portrait, split into layers, at the size in which frames are drawn.

    picture: RGB uint8 (H, W, 3). foreground: the same with the subject's colours alone, spread outwards beyond
    its outline, so that no background is pulled along; the picture itself where nothing is cut out.
    alpha: float32 (H, W) in [0, 1], the subject's matte; all ones where nothing is cut out.
    landmarks: float64 (478, 3) in pixels. anchored: the picture is part of a larger one that stands still, so its
    edges must not move; otherwise the edges are where the view ends. wider: the layers beyond the drawn part, where
    the picture has more.
    """

    picture: NDArray[np.uint8]
    foreground: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    landmarks: NDArray[np.float64]
    anchored: bool = False
    wider: WiderLayers | None = None


class Engine(Protocol):
    """Draws one source in the poses of a driver."""

    @property
    def name(self) -> str:
        """Name and version for reports and container metadata."""
        ...

    def prepare(self, source: SourceLayers) -> None:
        """Do everything that depends on the source alone; called once, before `drive`."""
        ...

    def drive(self, motion: DriveFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The frame (RGB uint8, H, W, 3; straight, not premultiplied) and its alpha (uint8, H, W).

        Frames may be drawn in any order: the answer depends on `motion` alone.
        """
        ...

    def notices(self) -> tuple[str, ...]:
        """What the summary should say about the frames since it was last asked, a line each, or ()."""
        ...
