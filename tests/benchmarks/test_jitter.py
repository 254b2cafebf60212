"""What a unit that trembles adds to jitter is told apart from what the face does."""

import jitter
import numpy as np
import pytest

from avatarkit.face import landmarks as lm


@pytest.fixture
def still() -> np.ndarray:
    """A face (30, 468, 2) that keeps still, far from the picture's corner."""
    places = np.random.default_rng(0).uniform(200.0, 300.0, (lm.MESH, 2))
    places[list(jitter.CORNERS)] = (200.0, 230.0), (300.0, 230.0)
    return np.repeat(places[None], 30, axis=0)


def test_corners_of_eyes_that_are_read_elsewhere_do_not_move_the_face(still: np.ndarray) -> None:
    blinking = still.copy()
    blinking[10:14, jitter.CORNERS[1], 0] += 5.0
    assert jitter.jitter(blinking, 5) > 0.05
    assert jitter.jitter(blinking, 5, jitter.PARTS["nose"], steady=True) == 0.0
    assert jitter.jitter(blinking, 5, jitter.PARTS["nose"]) > 0.05


def test_a_part_that_trembles_is_named(still: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.3, still.shape)
    driver, output = still + noise, still + noise
    output[:, jitter.PARTS["lips"]] += noise[:, jitter.PARTS["lips"]]
    figures = jitter.figures(driver, output, 1)
    assert figures["lips"] == pytest.approx(2.0, abs=0.1)
    assert figures["nose"] == pytest.approx(1.0, abs=0.05)
    assert 1.0 < figures["steady"] < 1.5
