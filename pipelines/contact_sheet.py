"""Frames of several videos as one picture: a row for each video, a column for each moment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.media.random_access import frames_at
from avatarkit.pipelines.render import fitted

Picture = NDArray[np.uint8]

FACE_HEIGHT = 0.44
"""Where in a head crop the middle of the face is, as a share of its height from the top."""


def contact_sheet(
    videos: Sequence[Path], indices: Sequence[int], cell_px: int, shown: float = 1.0
) -> Picture:
    """The frames `indices` of each video, RGB uint8 (videos * cell_px, indices * cell_px, 3).

    Args:
        videos: read at random; each has all the frames asked for.
        indices: of the frames, from 0.
        cell_px: side of the square cells in pixels; frames keep their proportions inside them.
        shown: share of each frame's sides that is shown, around the face of a head crop.

    Raises:
        UsageError: nothing to show. InputError: a video that cannot be read.
    """
    if not videos or not indices or cell_px < 1 or not 0.0 < shown <= 1.0:
        raise UsageError(
            "a contact sheet needs a video, a frame number, cells of at least a pixel, and a share of 0 to 1"
        )
    rows = [
        [fitted(_middle(frame, shown), cell_px) for frame in frames_at(video, indices)] for video in videos
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _middle(frame: Picture, shown: float) -> Picture:
    rows, columns = (max(1, round(shown * side)) for side in frame.shape[:2])
    top = int(np.clip(round(FACE_HEIGHT * frame.shape[0] - rows / 2.0), 0, frame.shape[0] - rows))
    left = (frame.shape[1] - columns) // 2
    return frame[top : top + rows, left : left + columns]
