"""What an engine needs, what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.head.square import Square
from avatarkit.motion.transfer import DriveFrame

Finishing: TypeAlias = "Callable[[Iterable[Drawn]], Iterator[Drawn]]"


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
class SeenTeeth:
    """What footage of a person shows of the upper teeth, in the source's light.

    colour: RGB, 0 to 255. edge: how far below the line where the lips meet they end, in head units, -0.1 to 0.2.
    """

    colour: tuple[float, float, float]
    edge: float

    def __post_init__(self) -> None:
        """Refuse what no teeth have."""
        if not (all(0.0 <= level <= 255.0 for level in self.colour) and -0.1 <= self.edge <= 0.2):
            raise UsageError(f"teeth of colour {self.colour} that end at {self.edge:g}: no colour, or no place")


@dataclass(frozen=True)
class SourceLayers:
    """One source portrait, split into layers, at the size in which frames are drawn.

    picture: RGB uint8 (H, W, 3). foreground: the same with the subject's colours alone, spread outwards beyond
    its outline, so that no background is pulled along; the picture itself where nothing is cut out.
    alpha: float32 (H, W) in [0, 1], the subject's matte; all ones where nothing is cut out, and in a close-up.
    landmarks: float64 (478, 3) in pixels. anchored: the picture is part of a larger one that stands still, so its
    edges must not move; otherwise the edges are where the view ends. wider: the layers beyond the drawn part, where
    the picture has more. square: the head as networks see it, for engines that ask for squares. cut_out: whether the
    matte says what is the subject's; where it does not, no edge of the picture is known to cut anything off. teeth: of
    a person of whom more is known than the picture; None where it is all.
    """

    picture: NDArray[np.uint8]
    foreground: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    landmarks: NDArray[np.float64]
    anchored: bool = False
    wider: WiderLayers | None = None
    square: Square | None = None
    cut_out: bool = True
    teeth: SeenTeeth | None = None


@dataclass(frozen=True)
class Needs:
    """What an engine asks for.

    square_px: side of the heads' squares that it looks at, of source and driver; None for one that takes motion alone.
    source: whether it draws a given source; without one it knows whom it draws. drawn_px: side of what it draws; None
    for the size of the layers. at_once: frames that it draws best together. alone: whether frames are drawn one batch
    after another, since each batch keeps the device busy. alpha: whether what it draws comes with an alpha of its own.
    finishing: makes final frames, of `drawn_px`, out of the drawn ones, which it is given in order; for engines whose
    last step looks at neighbours in time. forks: whether processes forked from this one may draw single frames too; not
    for what runs on a GPU.
    """

    square_px: int | None = None
    source: bool = True
    drawn_px: int | None = None
    at_once: int = 1
    alone: bool = False
    alpha: bool = False
    finishing: Finishing | None = None
    forks: bool = False


class Drawn(NamedTuple):
    """A frame (RGB uint8, H, W, 3; straight, not premultiplied) and its alpha (uint8, H, W).

    alpha: None from an engine that brings none of its own.
    """

    frame: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None


class Engine(Protocol):
    """Draws one source in the poses of a driver."""

    @property
    def name(self) -> str:
        """Name and version for reports and container metadata."""
        ...

    @property
    def needs(self) -> Needs:
        """What it asks for; known before `prepare`."""
        ...

    def prepare(self, source: SourceLayers) -> None:
        """Do everything that depends on the source alone; called once, before `drive`, if it needs a source."""
        ...

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """The frames drawn, in this order; at most `needs.at_once` are given.

        The answer to each depends on it alone: frames may be drawn in any order, and by several threads at once
        unless `needs.alone`. What is drawn belongs to the caller, who may write over it.
        """
        ...

    def notices(self) -> tuple[str, ...]:
        """What the summary should say about the frames since it was last asked, a line each, or ()."""
        ...
