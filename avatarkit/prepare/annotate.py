"""What is stored beside each frame: landmarks, head transform, openings, gaze, where the crop was, the matte."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import FRAME_RATE
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.geometry.crop import Crop
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.geometry.similarity import Similarity
from avatarkit.motion.head import measure
from avatarkit.prepare.config import PrepareConfig

__all__ = ["GRID_RATE", "Row", "annotation", "columns_of", "encode_matte", "encode_picture", "yaw_deg"]

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


def encode_picture(picture: NDArray[np.uint8], config: PrepareConfig) -> bytes:
    """RGB uint8 (H, W, 3) as JPEG (4:4:4: lips and irises are small and colourful) or WebP."""
    kind, options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, config.image_quality]
    if config.image_format == "jpeg":
        kind = ".jpg"
        options = [
            cv2.IMWRITE_JPEG_QUALITY,
            config.image_quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ]
    return _encoded(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)


def encode_matte(matte: NDArray[np.float32]) -> bytes:
    """A matte, float32 (H, W) in [0, 1], as 8-bit grey PNG."""
    # Runs of equal bytes are most of a matte; looking for more saves next to nothing.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return _encoded(".png", cv2.convertScaleAbs(matte, alpha=255.0), options)


def _encoded(kind: str, picture: NDArray[Any], options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, picture, options)
    if not done:
        raise RuntimeError(f"OpenCV cannot encode {kind} pictures")
    return data.tobytes()
