"""Cuts and moves of the camera, in real pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from avatarkit.face.cuts import CutDetector


def detected_cuts(frames: Sequence[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector.look(frame).cut]


def panned(photo: np.ndarray, count: int, step: int) -> list[np.ndarray]:
    width = photo.shape[1] - count * step
    return [np.ascontiguousarray(photo[:480, n * step : n * step + width]) for n in range(count)]


@pytest.mark.parametrize("at", [1, 7, 19])
def test_one_cut_where_the_picture_changes(at: int, astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    frames = [astronaut] * at + [grace_hopper[:512]] * (20 - at)
    assert detected_cuts(frames) == [at]


def test_cut_between_moving_shots(astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    frames = panned(astronaut, 15, 4) + panned(grace_hopper, 15, 4) + panned(astronaut, 15, 4)
    assert detected_cuts(frames) == [15, 30]


def test_slow_pan_is_no_cut(astronaut: np.ndarray) -> None:
    assert detected_cuts(panned(astronaut, 40, 6)) == []


def test_drifting_light_is_no_cut(grace_hopper: np.ndarray) -> None:
    levels = 0.6 + 0.4 * np.sin(np.arange(40) / 6.0)
    assert detected_cuts([(grace_hopper * level).astype(np.uint8) for level in levels]) == []


def test_still_and_noisy_pictures_have_no_cuts(grace_hopper: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(grace_hopper + rng.normal(0, 12, grace_hopper.shape), 0, 255).astype(np.uint8)
        for _ in range(6)
    ]
    assert detected_cuts([grace_hopper] * 5 + noisy) == []


@pytest.fixture
def wide(astronaut: np.ndarray, grace_hopper: np.ndarray) -> np.ndarray:
    """Both photos side by side, (512, 1024, 3)."""
    return np.hstack([astronaut, grace_hopper[:512]])


@pytest.mark.parametrize("step", [20, 40, 70])
@pytest.mark.parametrize("blurred", [False, True])
def test_fast_pan_is_no_cut(wide: np.ndarray, step: int, blurred: bool) -> None:
    """Up to a fifth of the picture's width each frame, out of rest and back into it."""
    seen = cv2.blur(wide, (step, 1)) if blurred else wide
    still = [wide[:360, :340]] * 6
    moving = [np.ascontiguousarray(seen[:360, n : n + 340]) for n in range(step // 2, 660, step)]
    # From rest into a blurred frame within a single one may look like a cut; the pan itself never does.
    assert detected_cuts(still + moving) in ([], [6] if blurred and step > 20 else [])


def test_moves_are_measured_in_pixels(wide: np.ndarray) -> None:
    detector = CutDetector()
    detector.look(np.ascontiguousarray(wide[40:400, 100:740]))
    change = detector.look(np.ascontiguousarray(wide[60:420, 148:788]))
    assert not change.cut
    assert change.moved == pytest.approx((-48, -20), abs=3)
    assert CutDetector().look(wide).moved == (0.0, 0.0)


def test_cut_in_the_middle_of_a_fast_pan(astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    frames = panned(astronaut, 8, 25) + panned(grace_hopper, 8, 25)
    assert detected_cuts(frames) == [8]


def test_chaos_is_one_cut_and_not_a_row() -> None:
    rng = np.random.default_rng(0)
    chaos = [cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (480, 320)) for _ in range(12)]
    assert detected_cuts([np.full((320, 480, 3), 120, np.uint8)] * 6 + chaos)[1:] == []
