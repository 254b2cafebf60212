"""What a stage reads at once, in one declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avatarkit.errors import UsageError

DataKind = Literal["videos", "photos"]


@dataclass(frozen=True)
class SampleSpec:
    """What a sample holds.

    kind: of the dataset: "videos" give a clip's sources and drivers, "photos" single pictures.
    sources: frames of the clip that are sources; more than one are stacked, (n, ...) for each tensor.
    window: drivers, consecutive frames of the clip; more than one are stacked likewise.
    candidates: frames drawn for a driver, of which the one is taken whose expression and pose differ most from the
        source's, by the stored columns; 1 takes any. They come from all clips of the source's video.
    other: the same of another person comes along: "other_source" and "other_driver", or a photo's "partner".
    columns: stored columns of the dataset beside those that every frame has, such as those of side-car files.
    lines: of the landmark pictures that are drawn of each frame, one of `landmark_picture.LINE_SETS`; "" for none.
    lines_shrink: how much smaller than the frame's pictures they are, a whole number.
    """

    kind: DataKind = "videos"
    sources: int = 1
    window: int = 1
    candidates: int = 1
    other: bool = True
    columns: tuple[str, ...] = ()
    lines: str = ""
    lines_shrink: int = 1

    def __post_init__(self) -> None:
        if min(self.sources, self.window, self.candidates) < 1:
            raise UsageError(f"a sample of {self.sources} sources and {self.window} drivers: take at least one of each")
        if self.candidates > 1 and self.window > 1:
            raise UsageError("drivers are chosen among candidates one by one: window must be 1")
        if self.kind == "photos" and (self.sources, self.window, self.candidates) != (1, 1, 1):
            raise UsageError("photos have one frame each: sources, window and candidates must be 1")
        if self.lines_shrink < 1:
            raise UsageError(f"landmark pictures {self.lines_shrink} times smaller: take a whole number from 1 up")

    @property
    def least_frames(self) -> int:
        """Frames that a clip must have."""
        return 1 if self.kind == "photos" else max(2, self.sources + 1, self.window)
