"""What is stored beside each frame: landmarks, head transform, openings, gaze, where the crop was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.crop import Crop
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import measure

__all__ = ["Row", "annotation", "yaw_deg"]

Row = dict[str, Any]


def annotation(
    time_s: float, landmarks: NDArray[np.float32], head: Similarity, crop: Crop, head_px: float
) -> Row:
    """One row of the stored columns (`data/columns.py`), its score not known yet.

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


def yaw_deg(rows: Sequence[Row]) -> float:
    """Median over the rows of the head's turn to either side, in degrees."""
    return float(np.median([abs(to_euler_deg(row["rotation"])[0]) for row in rows]))
