"""Steadied frames: less flicker, no lag, no ghosts."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from avatarkit.systems.protocol import Drawn
from avatarkit.systems.steady import steadied

SIDE = 96


def scene(shift: int) -> np.ndarray:
    """Blurred shapes, `shift` pixels to the right."""
    draw = np.random.default_rng(0)
    wide = cv2.GaussianBlur(draw.random((SIDE, 2 * SIDE, 3)).astype(np.float32), (0, 0), 4)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    return wide[:, SIDE - shift : 2 * SIDE - shift] * 200 + 20


def frames(count: int, noise: float, speed: int = 0) -> list[Drawn]:
    draw = np.random.default_rng(1)
    found = []
    for index in range(count):
        picture = scene(speed * index) + noise * draw.standard_normal((SIDE, SIDE, 3))
        alpha = np.clip(128 + 10 * noise * draw.standard_normal((SIDE, SIDE)), 0, 255).astype(np.uint8)
        found.append(Drawn(np.clip(picture, 0, 255).astype(np.uint8), alpha))
    return found


def flicker(found: list[Drawn]) -> float:
    return float(np.mean([np.abs(a.frame.astype(int) - b.frame).mean() for a, b in pairwise(found)]))


def test_flicker_falls_and_nothing_is_lost() -> None:
    given = frames(8, noise=6.0)
    found = list(steadied(given, 1.0))
    assert len(found) == len(given)
    assert flicker(found) < 0.6 * flicker(given)
    assert np.mean([np.abs(drawn.frame - scene(0)).mean() for drawn in found]) < np.mean(
        [np.abs(drawn.frame - scene(0)).mean() for drawn in given]
    )
    mattes = [[np.asarray(drawn.alpha, int)[2:-2, 2:-2] for drawn in item[2:-2]] for item in (found, given)]
    after, before = (np.mean([np.abs(a - b).mean() for a, b in pairwise(item)]) for item in mattes)
    assert after < 0.4 * before


def test_it_does_not_lag() -> None:
    """What moves is where it was: no other shift fits the frame better."""
    found = list(steadied(frames(8, noise=3.0, speed=3), 1.0))
    inside = np.s_[16:-16, 32:-16]
    for index in range(2, 6):
        error = [np.abs(found[index].frame - scene(3 * index + off))[inside].mean() for off in (-2, -1, 0, 1, 2)]
        assert int(np.argmin(error)) == 2


def test_sharp_mattes_have_no_specks() -> None:
    """Looked up between pixels, an edge overshoots; what is beyond white must not become black."""
    given = []
    for index in range(6):
        move = np.array([[1, 0, 2.4 * index], [0, 1, 0]], np.float32)
        picture = cv2.warpAffine(scene(0), move, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
        edge = np.where(np.arange(SIDE) > 30 + 2.4 * index, 255, 0).astype(np.uint8)
        given.append(Drawn(picture, np.repeat(edge[None], SIDE, axis=0)))
    for drawn in steadied(given, 1.0):
        assert drawn.alpha is not None
        assert np.diff(drawn.alpha[16:-16, 4:-4].astype(int), axis=1).min() > -40


def test_what_moves_fast_leaves_no_ghost() -> None:
    """A disc over a flat ground, an eighth of its width each frame: its matte is nowhere else."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    given = []
    for index in range(7):
        distance = np.hypot(x - 24 - 5 * index, y - SIDE / 2)
        alpha = np.clip(20.5 - distance, 0, 1)[..., None]
        picture = np.clip(alpha * (scene(5 * index) * 0.5) + (1 - alpha) * 200, 0, 255).astype(np.uint8)
        given.append(Drawn(picture, np.rint(255 * alpha[..., 0]).astype(np.uint8)))
    for drawn, same in zip(steadied(given, 1.0), given, strict=True):
        assert drawn.alpha is not None
        assert same.alpha is not None
        near = cv2.dilate(same.alpha, np.ones((5, 5), np.uint8)), cv2.erode(same.alpha, np.ones((5, 5), np.uint8))
        assert drawn.alpha[near[0] == 0].max() <= 8
        assert drawn.alpha[near[1] == 255].min() >= 247


def test_another_shot_takes_no_part() -> None:
    before, after = frames(4, 0.0), [Drawn(255 - drawn.frame, drawn.alpha) for drawn in frames(4, 0.0)]
    found = list(steadied([*before, *after], 1.0))
    for drawn, given in zip(found, [*before, *after], strict=True):
        assert np.abs(drawn.frame.astype(int) - given.frame).mean() < 1.0


def test_strength_zero_changes_nothing() -> None:
    given = frames(4, noise=6.0)
    for drawn, same in zip(steadied(given, 0.0), given, strict=True):
        assert np.abs(drawn.frame.astype(int) - same.frame).max() <= 1
        assert drawn.alpha is not None
        assert same.alpha is not None
        np.testing.assert_array_equal(drawn.alpha, same.alpha)


def test_a_single_frame_passes() -> None:
    (given,) = frames(1, noise=6.0)
    (found,) = steadied([given], 1.0)
    assert np.abs(found.frame.astype(int) - given.frame).max() <= 1
