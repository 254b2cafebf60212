"""Eyes that the driver does not show follow the other one, or rest."""

from __future__ import annotations

import numpy as np

from avatarkit.motion.unseen_eyes import settle_unseen, trust

RATE = 25.0


def track(frames: int = 75) -> tuple[np.ndarray, np.ndarray]:
    """The right eye blinks at frame 40 and looks about; the left one is noise around half its opening."""
    rng = np.random.default_rng(3)
    opening = np.stack([np.full(frames, 0.3), 0.2 + rng.normal(0, 0.06, frames)], axis=1)
    opening[39:42, 0] = 0.05
    gaze = rng.normal(0, 0.1, (frames, 2, 2))
    gaze[:, 0] = 0.05 * np.sin(np.arange(frames) / 9)[:, None]
    return opening, gaze


def test_seen_eyes_are_left_alone() -> None:
    opening, gaze = track()
    was = opening.copy(), gaze.copy()
    settle_unseen(opening, gaze, np.full((75, 2), 0.4), RATE)
    np.testing.assert_array_equal(opening, was[0])
    np.testing.assert_array_equal(gaze, was[1])


def test_a_blink_hides_no_eye() -> None:
    contrast = np.full((75, 2), 0.4)
    contrast[38:44] = 0.02
    np.testing.assert_array_equal(trust(contrast, RATE), 1.0)


def test_eyes_that_are_shut_for_two_seconds_stay_shut() -> None:
    contrast = np.full((75, 2), 0.4)
    contrast[12:62] = 0.02
    np.testing.assert_array_equal(trust(contrast, RATE), 1.0)


def test_an_eye_that_is_never_seen_follows_the_other() -> None:
    opening, gaze = track()
    own = opening[:, 0].copy()
    contrast = np.stack([np.full(75, 0.4), np.full(75, 0.02)], axis=1)
    settle_unseen(opening, gaze, contrast, RATE)
    np.testing.assert_allclose(opening[:, 1] / opening[0, 1], own / own[0])
    np.testing.assert_allclose(np.ptp(gaze[:, 1] - gaze[:, 0], axis=0), 0.0, atol=1e-12)


def test_eyes_behind_dark_glasses_rest() -> None:
    opening, gaze = track()
    settle_unseen(opening, gaze, np.zeros((75, 2)), RATE)
    assert np.ptp(opening, axis=0).max() == 0.0
    assert np.ptp(gaze, axis=0).max() == 0.0


def test_a_hand_before_one_eye_for_a_second() -> None:
    opening, gaze = track()
    opening[:, 1] = 0.28
    opening[20:60, 1] = 0.02
    contrast = np.full((75, 2), 0.4)
    contrast[18:62, 1] = 0.0
    settle_unseen(opening, gaze, contrast, RATE)
    assert opening[40, 1] < 0.1
    np.testing.assert_allclose(opening[[36, 44], 1], 0.28, rtol=0.1)
