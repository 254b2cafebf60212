"""The square around a head: what it holds, how it is smoothed, that it stays inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.head.framing import LOOK_AHEAD, Window, inside, smoothed, wanted


def test_square_holds_the_head_with_hair_and_shoulders(hopper_landmarks: np.ndarray) -> None:
    window = wanted(head_frame(hopper_landmarks))
    left, top, right, bottom = window.corners
    forehead, chin = hopper_landmarks[lm.FOREHEAD, 1], hopper_landmarks[lm.CHIN, 1]
    face = chin - forehead
    assert window.side == pytest.approx(2.2 * face, rel=0.1)
    assert top < forehead - 0.45 * face
    assert bottom > chin + 0.5 * face
    assert left < hopper_landmarks[:, 0].min() - 0.3 * face
    assert right > hopper_landmarks[:, 0].max() + 0.3 * face


def test_opened_mouth_leaves_the_square_alone(hopper_landmarks: np.ndarray) -> None:
    opened = hopper_landmarks.copy()
    opened[[lm.CHIN, 14, 17, 84, 314], 1] += 20.0
    assert wanted(head_frame(opened)) == wanted(head_frame(hopper_landmarks))


@pytest.mark.parametrize("gaps", [(), (3, 4, 5), (1, 20, 21)])
def test_smoothing_keeps_a_steady_motion_up_to_the_ends(gaps: tuple[int, ...]) -> None:
    numbers = [n for n in range(40) if n not in gaps]
    windows = [Window(100.0 + 3.0 * n, 50.0 - 2.0 * n, 80.0) for n in numbers]
    for number, window in zip(numbers, windows, strict=True):
        found = smoothed(numbers, windows, number)
        assert (found.x, found.y, found.side) == pytest.approx((window.x, window.y, window.side))


def test_smoothing_takes_out_trembling_and_no_more_than_its_reach() -> None:
    rng = np.random.default_rng(0)
    still = [Window(*row) for row in np.array([100.0, 60.0, 80.0]) + rng.normal(0, 1.0, (60, 3))]
    found = np.array([(w.x, w.y, w.side) for w in (smoothed(range(60), still, n) for n in range(15, 45))])
    assert found.std(0).max() < 0.45
    far = [*still]
    far[40] = Window(9999.0, 0.0, 5.0)
    assert smoothed(range(60), far, 40 - LOOK_AHEAD - 1) == smoothed(range(60), still, 40 - LOOK_AHEAD - 1)
    assert smoothed(range(60), far, 40 - LOOK_AHEAD) != smoothed(range(60), still, 40 - LOOK_AHEAD)


def test_one_frame_alone_keeps_its_square() -> None:
    assert smoothed([7], [Window(1.0, 2.0, 4.0)], 7).corners == pytest.approx((-1.0, 0.0, 3.0, 4.0))


@given(
    st.floats(-200, 800), st.floats(-200, 600), st.floats(1, 900), st.integers(2, 640), st.integers(2, 480)
)
def test_inside_is_a_square_within_the_picture(x: float, y: float, side: float, width: int, height: int) -> None:
    placed = inside(Window(x, y, side), 0, 0, width, height)
    left, top, right, bottom = placed.corners
    assert min(left, top) >= -1e-6
    assert right <= width + 1e-6
    assert bottom <= height + 1e-6
    assert placed.side == min(side, width, height)
    if x - side / 2 >= 0 and y - side / 2 >= 0 and x + side / 2 <= width and y + side / 2 <= height:
        assert placed.corners == pytest.approx(Window(x, y, side).corners)
