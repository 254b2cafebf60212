"""The picture's edges: nothing opaque from beyond them, and a head that they cut off stays there."""

from __future__ import annotations

import sys
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.limits import HIGHEST, LOWEST, EdgeLimits, Tally, WayLimits, shifted, soft_limit
from avatarkit.systems.protocol import SourceLayers, WiderLayers

from ..conftest import SIZE, Move

DOWN = [{"dy": 30.0}, {"dy": 60.0}, {"scale": 0.7}, {"roll_deg": 20.0, "dy": 20.0}]


@pytest.fixture(scope="module")
def cut_off(source: SourceLayers) -> SourceLayers:
    """The portrait without what is above the middle of the forehead: its matte is opaque along the upper edge."""
    top = round(float(source.landmarks[10, 1])) - 6
    part = np.s_[top:, :]
    return SourceLayers(
        source.picture[part].copy(), source.foreground[part].copy(), source.alpha[part].copy(),
        source.landmarks - [0.0, top, 0.0],
    )  # fmt: skip


def limits(source: SourceLayers) -> EdgeLimits:
    canvas = Canvas.of(source, head_frame(source.landmarks).scale)
    return EdgeLimits.of(HeadField(source, canvas), canvas, source)


def moved(source: SourceLayers, move: Move, cut: SourceLayers, **options: float) -> DriveFrame:
    """A move of the whole portrait, in the pixels of one whose upper part is missing."""
    motion = move(**options)
    shift = cut.landmarks[0] - source.landmarks[0]
    pose = replace(motion.pose, translation=motion.pose.translation + shift)
    return replace(motion, pose=pose, landmarks=motion.landmarks + shift)


def opaque_from_outside(engine: WarpEngine, motion: DriveFrame, reach: float) -> int:
    """Opaque pixels that show something farther than `reach` beyond the picture."""
    places, (_, alpha) = engine.sampling_map(motion), engine.draw(motion)
    height, width = alpha.shape
    beyond = np.max([-0.5 - places[..., 0], -0.5 - places[..., 1], places[..., 0] - width + 0.5,
                     places[..., 1] - height + 0.5], axis=0)  # fmt: skip
    return int(np.count_nonzero((beyond > reach) & (alpha > 127)))


@pytest.mark.parametrize("options", [*DOWN, {"dx": 30.0}, {"dx": -30.0, "roll_deg": -15.0}, {"dy": -40.0}], ids=str)
def test_nothing_opaque_comes_from_beyond_the_picture(
    source: SourceLayers, cut_off: SourceLayers, move: Move, options: dict[str, float]
) -> None:
    engine = WarpEngine()
    engine.prepare(source)
    # Half a pixel: the matte fades between the last pixel and the first beyond.
    assert opaque_from_outside(engine, move(**options), 0.5) == 0
    engine.prepare(cut_off)
    reach = Canvas.of(cut_off, head_frame(cut_off.landmarks).scale).reach_px
    assert opaque_from_outside(engine, moved(source, move, cut_off, **options), reach) == 0


@pytest.mark.parametrize("options", DOWN, ids=str)
def test_a_head_that_is_cut_off_stays_at_the_edge_and_keeps_its_shape(
    source: SourceLayers, cut_off: SourceLayers, move: Move, options: dict[str, float]
) -> None:
    motion = moved(source, move, cut_off, **options)
    eased = limits(cut_off).eased(motion)
    assert eased.pose.translation[1] < motion.pose.translation[1] - 5.0
    np.testing.assert_array_equal(eased.pose.rotation, motion.pose.rotation)
    shape, own = eased.pose.apply_inverse(eased.landmarks), motion.pose.apply_inverse(motion.landmarks)
    np.testing.assert_allclose(shape, own, atol=1e-9)


def test_a_head_with_room_around_it_moves_freely(source: SourceLayers, move: Move) -> None:
    for options in (*DOWN, {"dx": 40.0}):
        motion = move(**options)
        assert limits(source).eased(motion) is motion


def test_more_of_the_picture_gives_room(source: SourceLayers, cut_off: SourceLayers, move: Move) -> None:
    """With the missing part as wider layers the same head moves down and shows it."""
    top = source.alpha.shape[0] - cut_off.alpha.shape[0]
    wide = replace(cut_off, wider=WiderLayers(source.foreground, source.alpha, 0, top))
    motion = moved(source, move, cut_off, dy=20.0)
    assert limits(wide).eased(motion) is motion
    engine = WarpEngine()
    engine.prepare(wide)
    frame, alpha = engine.draw(motion)
    x = round(float(source.landmarks[10, 0]))
    shown = frame[2, x - 20 : x + 20].astype(int)
    real = source.foreground[top + 2 - 20, x - 20 : x + 20].astype(int)
    assert alpha[2, x] == 255
    assert np.abs(shown - real).mean() < 6.0


def test_limits_are_soft() -> None:
    values = np.linspace(-5.0, 40.0, 400)
    limited = np.array([soft_limit(v, 10.0) for v in values])
    np.testing.assert_array_equal(limited[values <= 4.0], values[values <= 4.0])
    assert limited.max() < 10.0
    slopes = np.diff(limited) / np.diff(values)
    assert np.all(slopes >= 0.0)
    assert np.abs(np.diff(slopes)).max() < 0.1
    with np.errstate(all="raise"):
        assert soft_limit(99.0, np.inf) == soft_limit(np.float64(99.0), np.float64(np.inf)) == 99.0


def test_a_head_neither_leaves_its_shoulders_nor_shrinks_to_nothing(source: SourceLayers, move: Move) -> None:
    pose = head_frame(source.landmarks)
    limits = WayLimits(pose)
    near = move(dx=0.4 * pose.scale, scale=0.8)
    assert limits.eased(near) is near
    far = limits.eased(move(dx=-3.0 * pose.scale, scale=0.3))
    way = far.pose.translation - pose.translation
    assert 0.9 * pose.scale < np.linalg.norm(way[:2]) <= pose.scale
    assert 0.6 * pose.scale <= far.pose.scale < 0.65 * pose.scale
    np.testing.assert_allclose(head_frame(far.landmarks).scale, far.pose.scale, rtol=0.02)


@pytest.mark.parametrize(("dy", "most"), [(-2.0, HIGHEST), (2.0, LOWEST)])
def test_a_neck_keeps_its_length(source: SourceLayers, move: Move, dy: float, most: float) -> None:
    pose = head_frame(source.landmarks)
    limits = WayLimits(pose)
    nod = move(dy=np.sign(dy) * 0.45 * most * pose.scale, scale=0.9)
    assert limits.eased(nod) is nod
    far = limits.eased(move(dx=0.5 * pose.scale, dy=dy * pose.scale))
    beside, below = (far.pose.translation - pose.translation)[:2] / pose.scale
    assert 0.9 * most < abs(below) <= most
    assert below == pytest.approx(dy / 0.5 * beside, rel=0.05)


def test_the_summary_says_that_a_head_is_kept_back(
    source: SourceLayers, cut_off: SourceLayers, move: Move
) -> None:
    engine = WarpEngine()
    engine.prepare(cut_off)
    engine.draw(moved(source, move, cut_off))
    assert engine.notices() == ()
    engine.draw(moved(source, move, cut_off))
    engine.draw(moved(source, move, cut_off, dy=25.0))
    (line,) = engine.notices()
    assert "1 of 2 frames" in line
    assert engine.notices() == ()  # what the next driver asks of the same engine is counted anew


def test_a_head_that_goes_far_is_not_said_to_be_cut_off(source: SourceLayers, move: Move) -> None:
    engine = WarpEngine()
    engine.prepare(source)
    engine.draw(move(dx=1.2 * head_frame(source.landmarks).scale))
    (line,) = engine.notices()
    assert "1 of 1 frames" in line
    assert "--keep-translation" in line
    assert "edge" not in line


def test_edges_hold_the_head_of_a_close_up_too(source: SourceLayers, move: Move) -> None:
    """Nothing of it is transparent, which does not mean that nothing was cut out."""
    low, high = (end(source.landmarks[:468, :2], 0).astype(int) for end in (np.min, np.max))
    part = np.s_[low[1] + 12 : high[1], low[0] + 8 : high[0] - 8]
    picture, corner = source.picture[part].copy(), np.array([low[0] + 8.0, low[1] + 12.0, 0.0])
    close = SourceLayers(picture, picture, np.ones(picture.shape[:2], np.float32), source.landmarks - corner)
    motion = move(dx=20.0)
    motion = shifted(motion, -corner[:2])
    eased = limits(close).eased(motion)
    assert eased.pose.translation[0] < motion.pose.translation[0] - 10.0
    assert limits(replace(close, cut_out=False)).eased(motion) is motion


@pytest.mark.parametrize(("scale", "dx"), [(0.9, 0.0), (0.9, 8.0), (0.8, 5.0), (0.95, -12.0), (0.7, 0.0)])
def test_a_head_between_two_edges_keeps_to_the_room_of_both(
    source: SourceLayers, move: Move, scale: float, dx: float
) -> None:
    left, right = source.landmarks[[234, 454], 0].round().astype(int)
    left += 4
    part = np.s_[:, left : right - 4]
    tight = SourceLayers(
        source.picture[part].copy(), source.foreground[part].copy(), source.alpha[part].copy(),
        source.landmarks - [left, 0.0, 0.0],
    )  # fmt: skip
    edges, motion = limits(tight), shifted(move(scale=scale, dx=dx), np.array([-left, 0.0]))
    eased = edges.eased(motion)
    inside, room = np.array(edges._inside(eased))[[0, 2]], np.array(edges.room_px)[[0, 2]]
    assert (inside < room).all()
    assert motion.pose.scale < eased.pose.scale < 1.02 * head_frame(tight.landmarks).scale


@pytest.mark.skipif(sys.platform != "linux", reason="no processes are forked here")
def test_frames_of_forked_processes_count_too(source: SourceLayers, cut_off: SourceLayers, move: Move) -> None:
    still, down = moved(source, move, cut_off), moved(source, move, cut_off, dy=40.0)
    tally = Tally()
    fork = get_context("fork").Process(target=tally.add, args=(down, down, still))
    fork.start()
    fork.join()
    tally.add(still, still, still)
    (line,) = tally.lines()
    assert "1 of 2 frames" in line
    assert tally.lines() == ()


# The canvas.


def test_what_the_edge_cuts_is_continued_and_nothing_else(cut_off: SourceLayers) -> None:
    canvas = Canvas.of(cut_off, 50.0)
    alpha = canvas.pixels[..., 3]
    x = canvas.left + round(float(cut_off.landmarks[10, 0]))
    assert canvas.reach_px == pytest.approx(3.0)
    assert np.all(alpha[canvas.top - 2 : canvas.top, x] == 255)
    assert np.all(alpha[: canvas.top - 3, x] <= 127)
    assert alpha[0, x] == 0
    beside = canvas.left + int(np.flatnonzero(cut_off.alpha[0] == 0.0)[0])
    assert not alpha[: canvas.top, beside].any()


def test_cells_that_may_show_the_subject(cut_off: SourceLayers) -> None:
    """By the four corners' surroundings: none of a part where nothing is opaque, all of one on the face."""
    canvas = Canvas.of(cut_off, 50.0)
    clear = np.argwhere(cut_off.alpha == 0.0)[0][::-1].astype(np.float32)
    corners = np.float32([[[0, 0], [1, 0]], [[0, 1], [1, 1]]])
    assert not canvas.seen(corners * 0.2 + clear).any()
    assert canvas.seen(corners * 4.0 + cut_off.landmarks[1, :2].astype(np.float32)).all()
    assert canvas.seen(corners * 500.0 - 100.0).all()  # around everything


def test_what_continues_is_calm_and_no_copy() -> None:
    """Beyond an edge of fine stripes they fade, instead of being mirrored or drawn out into streaks."""
    stripes = np.tile(np.uint8([[[0, 0, 0], [255, 255, 255]]]), (SIZE, SIZE // 2, 1))
    source = SourceLayers(stripes, stripes, np.ones((SIZE, SIZE), np.float32), np.ones((478, 3)))
    canvas = Canvas.of(source, 50.0)
    beyond = canvas.pixels[canvas.top - 6 : canvas.top, canvas.left + 20 : canvas.left + SIZE - 20, :3]
    assert np.ptp(beyond[0]) < np.ptp(beyond[-1]) < 128
    assert np.ptp(beyond[0]) <= 4
    assert canvas.known == (-0.5, -0.5, SIZE - 0.5, SIZE - 0.5)
