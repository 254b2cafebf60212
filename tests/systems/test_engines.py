"""One suite for all engines; add an implementation to ENGINES."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Engine, SourceLayers

from .conftest import SIZE, Move, without_motion

ENGINES: list[Callable[[], Engine]] = [WarpEngine]
MOVES = [
    {"yaw_deg": 20.0}, {"pitch_deg": -12.0, "mouth": 0.2}, {"roll_deg": 25.0, "dx": 15.0, "scale": 1.2},
    {"lids": 0.0}, {"yaw_deg": -35.0, "gaze": 3.0, "lids": 0.6},
]  # fmt: skip


def drawn(engine: Engine, move: DriveFrame) -> tuple[np.ndarray, np.ndarray]:
    """One frame and its alpha."""
    ((frame, alpha),) = engine.drive([move])
    assert alpha is not None
    return frame, alpha


@pytest.fixture(scope="module", params=ENGINES, ids=lambda make: make.__name__)
def make_engine(request: pytest.FixtureRequest) -> Callable[[], Engine]:
    return request.param


@pytest.fixture(scope="module")
def engine(make_engine: Callable[[], Engine], source: SourceLayers) -> Engine:
    engine = make_engine()
    engine.prepare(source)
    return engine


def test_name_holds_a_version(engine: Engine) -> None:
    assert any(character.isdigit() for character in engine.name)


@pytest.mark.parametrize("options", [{}, *MOVES])
def test_shapes_and_types(engine: Engine, move: Move, options: dict[str, float]) -> None:
    frame, alpha = drawn(engine, move(**options))
    assert (frame.shape, frame.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert (alpha.shape, alpha.dtype) == ((SIZE, SIZE), np.uint8)


def test_without_motion_the_source_comes_back(engine: Engine, source: SourceLayers) -> None:
    frame, alpha = drawn(engine, without_motion(source.landmarks))
    # Where nothing is seen, colours may be any.
    difference = np.abs(frame.astype(int) - source.foreground)[alpha > 0]
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99) < 12
    own = np.round(source.alpha * 255.0)
    assert np.abs(alpha - own).mean() < 1.0
    assert np.abs(alpha - own).max() < 32


def test_order_does_not_matter(engine: Engine, move: Move) -> None:
    frames = [move(**options) for options in MOVES]
    forwards = [drawn(engine, frame) for frame in frames]
    backwards = [drawn(engine, frame) for frame in reversed(frames)][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one[0].tobytes() == other[0].tobytes()
        assert one[1].tobytes() == other[1].tobytes()


def test_same_source_same_frames(
    make_engine: Callable[[], Engine], engine: Engine, source: SourceLayers, move: Move
) -> None:
    other = make_engine()
    other.prepare(source)
    for options in MOVES:
        for one, two in zip(drawn(engine, move(**options)), drawn(other, move(**options)), strict=True):
            np.testing.assert_array_equal(one, two)


def test_frames_are_arrays_of_their_own(engine: Engine, move: Move) -> None:
    frame, alpha = drawn(engine, move())
    kept = frame.copy(), alpha.copy()
    drawn(engine, move(yaw_deg=30.0))
    np.testing.assert_array_equal(frame, kept[0])
    np.testing.assert_array_equal(alpha, kept[1])
    frame[:] = 0
    np.testing.assert_array_equal(drawn(engine, move())[0], kept[0])


def test_nothing_given_is_changed(
    make_engine: Callable[[], Engine], source: SourceLayers, move: Move
) -> None:
    arrays = [source.picture, source.foreground, source.alpha, source.landmarks]
    before = [array.copy() for array in arrays]
    motion = move(yaw_deg=10.0, mouth=0.1)
    landmarks = motion.landmarks.copy()
    engine = make_engine()
    engine.prepare(source)
    drawn(engine, motion)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(motion.landmarks, landmarks)


@pytest.mark.parametrize("options", MOVES)
def test_far_from_the_head_nothing_appears(
    engine: Engine, source: SourceLayers, move: Move, options: dict[str, float]
) -> None:
    """Where the matte is empty well around the moved head, it stays empty."""
    _, alpha = drawn(engine, move(**options))
    import cv2

    reach = 2 * 40 + 1
    near = cv2.dilate((source.alpha > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    assert (~near).any()
    assert not alpha[~near].any()


@pytest.mark.parametrize(("dx", "dy"), [(10.0, 0.0), (0.0, -8.0), (-12.0, 6.0)])
def test_the_face_goes_where_its_landmarks_go(
    engine: Engine, source: SourceLayers, move: Move, dx: float, dy: float
) -> None:
    frame, _ = drawn(engine, move(dx=dx, dy=dy))
    low = source.landmarks[:468, :2].min(0).astype(int) + 12
    high = source.landmarks[:468, :2].max(0).astype(int) - 12
    inside = source.picture[low[1] : high[1], low[0] : high[0]].astype(int)
    x, y = low + np.array([dx, dy]).astype(int)
    shown = frame[y : y + inside.shape[0], x : x + inside.shape[1]].astype(int)
    stayed = frame[low[1] : high[1], low[0] : high[0]].astype(int)
    assert np.abs(shown - inside).mean() < 3.0
    assert np.abs(stayed - inside).mean() > 10.0


def test_odd_and_oblong_sources(make_engine: Callable[[], Engine], source: SourceLayers, move: Move) -> None:
    low = source.landmarks.min(0).astype(int)
    top = max(0, low[1] - 60)
    part = np.s_[top:256, 0:201]
    layers = SourceLayers(
        source.picture[part].copy(), source.foreground[part].copy(), source.alpha[part].copy(),
        source.landmarks - [0.0, top, 0.0],
    )  # fmt: skip
    engine = make_engine()
    engine.prepare(layers)
    frame, alpha = drawn(engine, without_motion(layers.landmarks))
    assert frame.shape == layers.picture.shape
    assert alpha.shape == layers.alpha.shape
    assert np.abs(frame.astype(int) - layers.foreground)[alpha > 0].mean() < 1.5


def test_faces_driven_out_of_the_picture(engine: Engine, move: Move) -> None:
    for options in ({"dx": 400.0}, {"dy": -500.0}, {"scale": 4.0}, {"scale": 0.2}, {"yaw_deg": 80.0}):
        frame, alpha = drawn(engine, move(**options))
        assert frame.shape[:2] == alpha.shape == (SIZE, SIZE)
