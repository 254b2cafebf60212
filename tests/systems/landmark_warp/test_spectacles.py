"""Spectacles: seen where they are worn, and not painted over by lids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatarkit.face import landmarks as lm
from avatarkit.face.types import Face
from avatarkit.systems.landmark_warp.eye_frame import EyePatch
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.spectacles import frame_before, worn

from ..conftest import moves_of


def test_spectacles_are_seen_where_they_are_worn(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, astronaut: np.ndarray, dense_face: Face
) -> None:
    assert worn(grace_hopper, np.asarray(hopper_landmarks, np.float64))
    assert not worn(astronaut, dense_face.landmarks.astype(np.float64))


def test_a_thick_line_across_the_nose_makes_spectacles(astronaut: np.ndarray, dense_face: Face) -> None:
    points = dense_face.landmarks.astype(np.float64)
    picture = astronaut.copy()
    inner = points[[lm.UPPER_LIDS[0][-1], lm.UPPER_LIDS[1][-1]], :2]
    row, left, right = round(inner[:, 1].mean()), int(inner[0, 0]), int(inner[1, 0])
    picture[row - 2 : row + 2, left:right] = 20
    assert worn(picture, points)


def test_a_frame_is_what_runs_on_beyond_the_eye() -> None:
    """A dark line through an eye's surroundings is a frame; lashes, a short line and skin are not."""
    patch = EyePatch(np.full((111, 161, 3), 180.0, np.float32), 100.0, 0.3)
    a, b = patch.local[0, :, 0], patch.local[:, 0, 1]
    patch.pixels[np.abs(b + 0.3) < 0.03] = 20.0
    patch.pixels[np.ix_(np.abs(b - 0.35) < 0.03, np.abs(a) < 0.1)] = 20.0
    patch.pixels[np.ix_(np.abs(b + 0.12) < 0.03, np.abs(a) < 0.4)] = 20.0
    upper, lower = np.full(161, -0.12, np.float32), np.full(161, 0.12, np.float32)
    cover = frame_before(patch, upper, lower)
    assert cover[np.abs(b + 0.3) < 0.02].min() > 0.9
    assert cover[np.abs(b + 0.3) > 0.1].max() < 0.01


def test_lids_keep_off_the_frame(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    """The same lid over the same eye, with and without a frame before it: with one, its pixels stay as they are."""
    points = np.asarray(hopper_landmarks, np.float64)
    lids = LidLayer(grace_hopper, points)
    motion = moves_of(points)(lids=0.0)
    white = np.full_like(grace_hopper, 255)
    lids.draw(white, motion)
    frames = [lid.frame for lid in lids._lids]
    assert all(frame is not None and frame.pixels.max() > 0.9 for frame in frames)
    lids._lids = [replace(lid, frame=None) for lid in lids._lids]
    painted = np.full_like(grace_hopper, 255)
    lids.draw(painted, motion)
    lids._lids = [
        replace(lid, frame=frame.with_pixels(np.ones_like(frame.pixels)))
        for lid, frame in zip(lids._lids, frames, strict=True)
        if frame is not None
    ]
    kept = np.full_like(grace_hopper, 255)
    lids.draw(kept, motion)
    assert (kept == 255).all()
    assert (painted < 255).sum() > (white < 255).sum()
