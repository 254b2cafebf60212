"""Eyes, on a painted face, and what they share with the mouth: curves, soft edges, blending."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.square import Square
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.openings import Region, blend, fill, heights, smooth_curve, smooth_ring, soft_mask
from avatarkit.systems.protocol import SourceLayers

from ..conftest import Move, moves_of, without_motion
from .conftest import IRIS, SIZE, SKIN, WHITE, iris_seen, near

EYES = pytest.mark.parametrize("eye", [0, 1], ids=["right", "left"])


@EYES
def test_open_eyes_look_as_they_did(
    engine: WarpEngine, picture: np.ndarray, landmarks: np.ndarray, eye: int
) -> None:
    motion = without_motion(landmarks)
    frame, _ = engine.draw(motion)
    count, centre = iris_seen(frame, motion, eye)
    own, own_centre = iris_seen(picture, motion, eye)
    assert own > 120
    assert count == pytest.approx(own, rel=0.2)
    np.testing.assert_allclose(centre, own_centre, atol=1.0)


def test_lid_margins_within_the_outline_stay(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Trackers put the outline of an eye on its painted or wet margin, which is the lid's and no eyeball."""
    lined = picture.copy()
    for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        ring = np.round(landmarks[list(lm.ring(upper, lower)), :2] * 16).astype(np.int32)
        cv2.polylines(lined, [ring], True, (20, 15, 15), 3, cv2.LINE_AA, 4)
    lined_engine = WarpEngine()
    lined_engine.prepare(SourceLayers(lined, lined, np.ones((SIZE, SIZE), np.float32), landmarks, cut_out=False))
    drawn = lined_engine.draw(without_motion(landmarks))[0].mean(2)
    dark = lined.mean(2) < 60
    assert np.count_nonzero(dark & (drawn < 60)) > 0.9 * np.count_nonzero(dark)


@EYES
def test_closed_eyes_show_neither_iris_nor_white(engine: WarpEngine, act: Move, eye: int) -> None:
    """Only the line in which the lids meet, at most three pixels high, keeps some of the eye's colours."""
    open_count, _ = iris_seen(engine.draw(act())[0], act(), eye)
    motion = act(lids=0.0)
    frame, _ = engine.draw(motion)
    assert iris_seen(frame, motion, eye)[0] < 0.25 * open_count
    low = motion.landmarks[list(lm.UPPER_LIDS[eye]), :2].min(0).astype(int) - 10
    high = motion.landmarks[list(lm.LOWER_LIDS[eye]), :2].max(0).astype(int) + 10
    around = frame[low[1] : high[1], low[0] : high[0]]
    eyeball = near(around, WHITE, 60.0) | near(around, IRIS, 70.0)
    assert eyeball.sum(0).max() <= 3


@EYES
def test_the_iris_disappears_little_by_little(engine: WarpEngine, act: Move, eye: int) -> None:
    counts = [
        iris_seen(engine.draw(act(lids=lids))[0], act(lids=lids), eye)[0] for lids in (1.0, 0.7, 0.4, 0.15)
    ]
    assert counts == sorted(counts, reverse=True)
    assert 0.1 * counts[0] < counts[2] < 0.7 * counts[0]
    assert counts[3] < 0.35 * counts[0]


@EYES
@pytest.mark.parametrize(("dx", "dy"), [(6.0, 0.0), (-6.0, 0.0), (3.0, 0.0), (0.0, 3.0)])
def test_the_iris_moves_with_the_gaze(engine: WarpEngine, act: Move, eye: int, dx: float, dy: float) -> None:
    _, before = iris_seen(engine.draw(act())[0], act(), eye)
    motion = act(gaze=dx, gaze_y=dy)
    frame, _ = engine.draw(motion)
    count, after = iris_seen(frame, motion, eye)
    shift, wanted = after - before, np.array([dx, dy])
    length = float(np.hypot(dx, dy))
    assert 0.5 * length < shift @ wanted / length < 1.2 * length
    assert abs(shift[0] * dy - shift[1] * dx) / length < 0.35 * length
    assert count > 100


@EYES
def test_a_moved_iris_keeps_its_size(engine: WarpEngine, act: Move, eye: int) -> None:
    still, _ = iris_seen(engine.draw(act())[0], act(), eye)
    moved, _ = iris_seen(engine.draw(act(gaze=4.0))[0], act(gaze=4.0), eye)
    assert moved == pytest.approx(still, rel=0.25)


@EYES
def test_the_iris_stays_between_the_lids(engine: WarpEngine, act: Move, eye: int) -> None:
    for options in (
        {"gaze": 14.0},
        {"gaze": -14.0},
        {"lids": 0.5, "gaze": 5.0},
        {"yaw_deg": 20.0, "gaze": 4.0},
    ):
        motion = act(**options)
        frame, _ = engine.draw(motion)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        outline = motion.landmarks[list(lm.ring(lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye])), :2]
        cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
        half = np.s_[:, : SIZE // 2] if outline[:, 0].mean() < SIZE / 2 else np.s_[:, SIZE // 2 :]
        outside = cv2.dilate(mask, np.ones((7, 7), np.uint8)) == 0
        assert (near(frame, IRIS, 70.0) & outside)[half].sum() < 5, options


@EYES
def test_a_closed_lid_is_as_light_as_skin_with_lashes_at_its_edge(engine: WarpEngine, act: Move, eye: int) -> None:
    motion = act(lids=0.0)
    frame, _ = engine.draw(motion)
    points = motion.landmarks[:, :2]
    crease, edge = points[lm.UPPER_CREASES[eye][3]], points[lm.UPPER_LIDS[eye][4]]
    x, y = (0.4 * crease + 0.6 * edge).round().astype(int)
    skin = frame[y - 2 : y + 3, x - 6 : x + 7].reshape(-1, 3).astype(float)
    assert np.abs(skin.mean(0) / SKIN - 1.0).max() < 0.12
    x, y = edge.round().astype(int)
    assert frame[y - 4 : y + 8, x].mean(1).min() < 0.75 * np.mean(SKIN)


def test_the_upper_lid_shades_the_white(picture: np.ndarray, landmarks: np.ndarray, engine: WarpEngine) -> None:
    """A wide open eye is darker under its lid than in the middle of its white, though the source's is flat."""
    motion = moves_of(landmarks)(lids=1.4)
    frame, _ = engine.draw(motion)
    upper, lower = motion.landmarks[lm.RIGHT_UPPER_LID[2], :2], motion.landmarks[lm.RIGHT_LOWER_LID[2], :2]
    near_lid, middle = (
        frame[tuple((upper + share * (lower - upper)).round().astype(int)[::-1])].astype(float).mean()
        for share in (0.12, 0.6)
    )
    assert near_lid < 0.9 * middle


def test_a_slit_between_lids_is_dark_and_ends_in_a_point(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Lids that stop short of each other leave the shadow of lashes to be seen: no shining eye, no hooked bar."""
    balls, skin, levels = EyeLayer(picture, landmarks), 200, []
    for lids in (0.15, 0.7):
        motion, frame = moves_of(landmarks)(lids=lids), np.full_like(picture, skin)
        balls.draw(frame, motion)
        places = 0.5 * sum(motion.landmarks[list(edge), :2] for edge in (lm.RIGHT_UPPER_LID, lm.RIGHT_LOWER_LID))
        levels.append([frame[y - 1 : y + 2, x - 1 : x + 2].mean() for x, y in places.round().astype(int)])
    slit, eye = levels
    assert max(slit[3:6]) < 0.7 * skin
    assert max(slit[2:7]) < 0.8 * eye[2]
    assert min(slit[1], slit[7]) > 0.8 * skin


def test_no_driver_pixels_reach_the_frames(engine: WarpEngine, act: Move) -> None:
    """The engine asks for none of the squares that others look at, and shows nothing of those that it is given."""
    assert engine.needs.square_px is None
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    square = Square(pixels, np.zeros((478, 3), np.float32), np.eye(3, dtype=np.float32), np.zeros(3, np.float32), 8.0)
    motion = act(mouth=0.2, lids=0.6, gaze=4.0, yaw_deg=10.0)
    given = replace(motion, driver=((square, 1.0),), neutral=square, posed=square)
    for alone, drawn in zip(engine.draw(motion), engine.draw(given), strict=True):
        assert np.array_equal(alone, drawn)


@pytest.mark.parametrize("points", [2, 3, 4, 5, 9, 11])
def test_smooth_curves_are_the_usual_cubic_splines(points: int) -> None:
    from scipy.interpolate import CubicSpline

    curve = np.random.default_rng(points).uniform(0.0, 100.0, (points, 2))
    dense = np.linspace(0.0, points - 1.0, 4 * (points - 1) + 1)
    np.testing.assert_allclose(smooth_curve(curve), CubicSpline(np.arange(points), curve)(dense), atol=1e-9)


@pytest.mark.parametrize("order", [1, -1])
def test_heights_end_where_a_curve_turns_back(order: int) -> None:
    """The averted side of a mouth seen from aside: behind its farthest point the lip is out of sight."""
    curve = np.array([[-3.0, 1.0], [-2.0, 0.0], [0.0, -1.0], [2.0, 0.0], [1.5, 5.0], [1.0, 9.0]])[::order]
    found = heights(curve, np.array([[-5.0, -2.5, -1.0, 1.0, 1.9, 2.0, 4.0]]))
    np.testing.assert_allclose(found, [[1.0, 0.5, -0.5, -0.5, -0.05, 0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("softness_px", [2.0, 7.3, 12.0])
def test_wide_edges_are_as_soft_as_those_of_the_whole_mask(softness_px: float) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    outline = np.stack([181.3 + 130.0 * np.cos(turn), 96.8 + 50.0 * np.sin(turn)], axis=1)
    whole = cv2.GaussianBlur(fill(outline, (260, 400), 255), (0, 0), softness_px)
    # The second one cuts through the outline.
    for region in (Region(5, 7, 358, 190), Region(150, 60, 260, 140)):
        expected = whole[region.top : region.bottom, region.left : region.right]
        assert np.abs(255.0 * soft_mask(outline, region, softness_px) - expected).max() <= 3.0


def test_a_large_part_is_blended_where_its_mask_is() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (150, 200, 3)).astype(np.uint8)
    colours, mask = rng.uniform(0, 255, (150, 200, 3)).astype(np.float32), np.zeros((150, 200), np.float32)
    before = image.copy()
    blend(image, colours, mask)
    assert np.array_equal(image, before)
    mask[40:90, 30:160] = rng.random((50, 130))
    expected = before + mask[..., None] * (colours - before)
    blend(image, colours, mask)
    assert np.abs(image - expected).max() <= 0.51
    assert np.array_equal(image[mask == 0.0], before[mask == 0.0])


def test_a_closed_curve_is_round_at_all_of_its_points() -> None:
    angles = np.linspace(0.0, 2.0 * np.pi, 20, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring = smooth_ring(points, 4)
    np.testing.assert_allclose(ring[::4], points, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1.0, atol=1e-4)
