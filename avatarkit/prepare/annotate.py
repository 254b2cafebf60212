"""What is stored beside each frame: landmarks, head transform, openings, gaze, where the crop was."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import FRAME_RATE
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.geometry.crop import Crop
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.motion.head import measure

__all__ = ["GRID_RATE", "Row", "annotation", "columns_of", "yaw_deg"]

GRID_RATE = Fraction(FRAME_RATE)
"""Frames a second of all clips; VoxCeleb counts its frame numbers at this rate."""

Row = dict[str, Any]


def annotation(
    time_s: float, landmarks: NDArray[np.float32], head: Similarity, crop: Crop, head_px: float
) -> Row:
    """One row of `FRAME_COLUMNS`, its score not known yet.

    Args:
        time_s: in the original.
        landmarks: (478, 3) in pixels of the original. head: their `head_frame`.
        crop: from the original to the stored frame.
        head_px: side of the head's square in the original.
    """
    points = crop.to_crop(landmarks)
    state = measure(points)
    return {
        "time_s": time_s,
        "landmarks": points,
        "rotation": head.rotation,
        "translation_px": crop.to_crop(head.translation),
        "scale_px": head.scale * crop.scale,
        "mouth_opening": state.mouth_opening,
        "eye_opening": state.eye_opening,
        "gaze": state.gaze,
        "crop_px": np.array([crop.left, crop.top, crop.width]),
        "head_px": head_px,
        "score": float("nan"),
    }


def columns_of(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """The rows as one array per column, in the types that shards have."""
    columns: dict[str, NDArray[Any]] = {}
    for name, column in FRAME_COLUMNS.items():
        values = np.array([row[name] for row in rows], column.dtype)
        columns[name] = values.reshape((len(rows), *column.shape))
    return columns


def yaw_deg(rows: Sequence[Row]) -> float:
    """Median over the rows of the head's turn to either side, in degrees."""
    return float(np.median([abs(to_euler_deg(row["rotation"])[0]) for row in rows]))
