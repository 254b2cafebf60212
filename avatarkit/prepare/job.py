"""What is asked of `process_video` and `process_photo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import Split

__all__ = ["PhotoJob", "Track", "VideoJob"]


@dataclass(frozen=True, eq=False)
class Track:
    """One face of a video, or with `boxes` None the order to find the faces ourselves.

    frames: (M,) int64, ascending frame numbers at 25 a second of the video's own time; None with boxes None.
    boxes: (M, 4) float64, left, top, width, height as shares of the picture's width and height.
    """

    clip_id: str
    identity: str
    utterance: str
    split: Split
    frames: NDArray[np.int64] | None = None
    boxes: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse a table whose two columns do not fit each other."""
        if (self.frames is None) != (self.boxes is None):
            raise ValueError(f"{self.clip_id}: frames and boxes come together or not at all")
        if self.frames is None or self.boxes is None:
            return
        if self.boxes.shape != (len(self.frames), 4) or not len(self.frames):
            raise ValueError(f"{self.clip_id}: {len(self.frames)} frames and boxes of shape {self.boxes.shape}")
        if (np.diff(self.frames) <= 0).any() or self.frames[0] < 0:
            raise ValueError(f"{self.clip_id}: frame numbers do not ascend from 0 up")


@dataclass(frozen=True, eq=False)
class VideoJob:
    """A video and the faces wanted from it.

    source: url or file name as it is to be remembered. extra: more to remember with every clip.
    """

    video: str
    path: Path
    source: str
    licence: str
    author: str
    tracks: tuple[Track, ...]
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PhotoJob:
    """A photo that becomes one aligned portrait.

    landmarks68: (68, 2) or (68, 3) float, 300-W order, pixels of the upright photo; None: found by our tracker.
    age: in years, None where nobody said. face_count: people in the photo, None where nobody counted.
    """

    photo: str
    path: Path
    identity: str
    split: Split
    source: str
    licence: str
    author: str
    landmarks68: NDArray[np.float64] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    age: float | None = None
    face_count: int | None = None
