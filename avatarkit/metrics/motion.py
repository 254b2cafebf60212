"""How well a driver's motion arrives, from landmarks of both videos at the same moments.

Published figures of these names differ in landmarks, normalisation and tracker; those here are defined so:

- AKD: mean distance of all 468 mesh landmarks, over that of the target's outer eye corners; of videos of one person.
- AED: mean distance of the mesh in head coordinates (pose and size taken out), each less its own mean over the video.
- APD: mean angle between the heads' rotations, in degrees, each relative to its own first frame.

A correlation is None where the driver hardly moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.face.landmarks import MESH
from avatarkit.head.coordinates import eye_opening, gaze, head_frame, mouth_opening

__all__ = ["LEAST_MOTION", "aed", "akd", "apd_deg", "correlation", "jitter", "openings"]

Track = NDArray[np.floating[Any]]
"""Landmarks (F, 478, 3) of one face in F frames, pixels."""
LEAST_MOTION = 0.01
"""Standard deviation of an opening below which its correlation says nothing."""
_CORNERS = (33, 263)


def akd(result: Track, target: Track) -> float:
    """Average keypoint distance: 0 for equal tracks; 0.05 is a twentieth of the distance between the eyes.

    Raises:
        UsageError: tracks of different length, or empty ones.
    """
    _check(result, target)
    points = np.asarray(target, np.float64)
    size = np.linalg.norm(points[:, _CORNERS[0], :2] - points[:, _CORNERS[1], :2], axis=1)
    apart = np.linalg.norm((np.asarray(result, np.float64) - points)[:, :MESH, :2], axis=2).mean(axis=1)
    return float((apart / np.maximum(size, 1e-6)).mean())


def aed(result: Track, driver: Track) -> float:
    """Average expression distance in head units (about 9 cm): 0 where expressions change alike; of any two people."""
    _check(result, driver)
    item, other = (_expression(track) for track in (result, driver))
    return float(np.linalg.norm(item - other, axis=2).mean())


def apd_deg(result: Track, driver: Track) -> float:
    """Average pose distance in degrees: how far the head's turn since the first frame is from the driver's."""
    _check(result, driver)
    item, other = (_turns(track) for track in (result, driver))
    trace = np.einsum("fij,fij->f", item, other)
    return float(np.degrees(np.arccos(((trace - 1) / 2).clip(-1, 1))).mean())


def openings(track: Track) -> dict[str, NDArray[np.float64]]:
    """Mouth (F,), lids (F, 2) and gaze (F, 2, 2) of a track, as `head.coordinates` defines them."""
    frames = [np.asarray(points, np.float64) for points in track]
    return {
        "mouth": np.array([mouth_opening(points) for points in frames]),
        "lids": np.array([eye_opening(points) for points in frames]),
        "gaze": np.array([gaze(points) for points in frames]),
    }


def correlation(result: NDArray[np.floating[Any]], driver: NDArray[np.floating[Any]]) -> float | None:
    """Pearson's, from -1 to 1; None for fewer than five values or a driver that hardly moves; 0 for a still result."""
    item, other = np.asarray(result, np.float64), np.asarray(driver, np.float64)
    if len(other) < 5 or other.std() < LEAST_MOTION:
        return None
    return 0.0 if item.std() == 0 else float(np.corrcoef(item, other)[0, 1])


def jitter(result: Track, driver: Track) -> float | None:
    """Second differences of the mesh over the eye corners' distance, RMS, over the driver's: 1 for a like one.

    None for fewer than three frames, or for a driver that stands still.
    """
    _check(result, driver)
    if len(result) < 3:
        return None
    item, other = (_unrest(track) for track in (result, driver))
    return None if other == 0 else item / other


def _unrest(track: Track) -> float:
    points = np.asarray(track, np.float64)[:, :MESH, :2]
    size = np.linalg.norm(points[:, _CORNERS[0]] - points[:, _CORNERS[1]], axis=1)
    scaled = points / np.maximum(size, 1e-6)[:, None, None]
    return float(np.sqrt((np.diff(scaled, 2, axis=0) ** 2).mean()))


def _expression(track: Track) -> NDArray[np.float64]:
    shapes = np.stack([head_frame(points).apply_inverse(points)[:MESH] for points in track])
    return np.asarray(shapes - shapes.mean(axis=0), np.float64)


def _turns(track: Track) -> NDArray[np.float64]:
    rotations = np.stack([head_frame(points).rotation for points in track])
    return np.asarray(rotations @ rotations[0].T, np.float64)


def _check(result: Track, driver: Track) -> None:
    if len(result) != len(driver) or not len(driver):
        raise UsageError(f"tracks of {len(result)} and {len(driver)} frames: pair them by time first")
