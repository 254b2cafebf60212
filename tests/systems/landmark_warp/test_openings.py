"""Eyes and mouth, on a painted face whose colours tell what is seen: skin, lips, white of the eye, iris."""

from __future__ import annotations

from dataclasses import fields

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.crop import head_crop
from avatarkit.motion.transfer import DriveFrame, without_motion
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.eyes import EyeLayer, _white
from avatarkit.systems.landmark_warp.openings import Region, blend, fill, smooth_curve, soft_mask
from avatarkit.systems.protocol import SourceLayers

from ..conftest import Move, moves_of

SIZE = 512
SKIN, LIPS, WHITE, IRIS = (205, 150, 120), (190, 40, 100), (240, 238, 235), (30, 60, 190)


def polygon(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    cv2.fillPoly(picture, [np.round(points[:, :2] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


@pytest.fixture(scope="module")
def landmarks(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face at 512 px, eyes wide open, irises in their middle, lips just closed."""
    points = head_crop(hopper_landmarks, 512, 600, SIZE).to_crop(hopper_landmarks)
    for upper, lower, centre, rim in zip(
        lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True
    ):
        corners = points[[upper[0], upper[-1]]]
        width = np.linalg.norm(corners[1] - corners[0])
        arch = np.sin(np.linspace(0.0, np.pi, len(upper)))[1:-1]
        along = corners[0] + np.linspace(0, 1, len(upper))[1:-1, None] * (corners[1] - corners[0])
        points[list(upper[1:-1])] = along - arch[:, None] * [0.0, 0.22 * width, 0.0]
        points[list(lower[1:-1])] = along + arch[:, None] * [0.0, 0.14 * width, 0.0]
        points[centre] = corners.mean(0) - [0.0, 0.04 * width, 0.0]
        radius = 0.18 * width
        points[list(rim)] = points[centre] + np.array([[1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]]) * radius
    points[list(lm.INNER_LIP_LOWER)] = points[list(lm.INNER_LIP_UPPER)] + [0.0, 0.5, 0.0]
    return points


@pytest.fixture(scope="module")
def picture(landmarks: np.ndarray) -> np.ndarray:
    """The painted face, RGB (512, 512, 3)."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    for upper, lower, centre, rim in zip(
        lm.UPPER_LIDS, lm.LOWER_LIDS, lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True
    ):
        ball, iris = picture.copy(), landmarks[centre, :2]
        polygon(ball, landmarks[list(lm.ring(upper, lower))], WHITE)
        radius = np.linalg.norm(landmarks[rim[0], :2] - iris)
        shown = np.hypot(*np.moveaxis(np.mgrid[0:SIZE, 0:SIZE][::-1].T.swapaxes(0, 1) - iris, 2, 0)) < radius
        ball[shown & (np.abs(ball.astype(int) - WHITE).sum(2) < 12)] = IRIS
        picture[:] = ball
    polygon(picture, landmarks[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    return picture


@pytest.fixture(scope="module")
def engine(picture: np.ndarray, landmarks: np.ndarray) -> WarpEngine:
    engine = WarpEngine()
    engine.prepare(SourceLayers(picture, picture, np.ones((SIZE, SIZE), np.float32), landmarks))
    return engine


@pytest.fixture(scope="module")
def act(landmarks: np.ndarray) -> Move:
    return moves_of(landmarks)


def near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: float) -> np.ndarray:
    return np.linalg.norm(picture.astype(float) - colour, axis=2) < tolerance


def iris_seen(frame: np.ndarray, motion: DriveFrame, eye: int) -> tuple[int, np.ndarray]:
    """Number of iris-coloured pixels around one eye, and their centre of mass (x, y)."""
    corners = motion.landmarks[[lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1]], :2]
    middle, half = corners.mean(0), 0.7 * np.linalg.norm(corners[1] - corners[0])
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]]
    close = (np.abs(x - middle[0]) < half) & (np.abs(y - middle[1]) < half)
    seen = near(frame, IRIS, 70.0) & close
    return int(seen.sum()), np.array([x[seen].mean(), y[seen].mean()]) if seen.any() else np.full(2, np.nan)


def opening(motion: DriveFrame, shrink_px: int) -> np.ndarray:
    """The pixels between the inner lips, without a rim."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    outline = motion.landmarks[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)), :2]
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return cv2.erode(mask, np.ones((2 * shrink_px + 1, 2 * shrink_px + 1), np.uint8)).astype(bool)


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
    lined_engine.prepare(SourceLayers(lined, lined, np.ones((SIZE, SIZE), np.float32), landmarks))
    drawn = lined_engine.draw(without_motion(landmarks))[0].mean(2)
    dark = lined.mean(2) < 60
    assert np.count_nonzero(dark & (drawn < 60)) > 0.9 * np.count_nonzero(dark)


def test_white_that_comes_into_view_is_as_shaded_as_the_white_beside_it() -> None:
    seen = np.zeros((60, 90), bool)
    seen[25:35, 10:80] = True
    shade = np.linspace(0.5, 1.0, 90, dtype=np.float32)
    lit = np.broadcast_to(200.0 * shade[None, :, None], (60, 90, 3)).astype(np.float32)
    white = _white(lit, seen, np.ones((60, 90), np.float32), np.array([200, 150, 120], np.float32))
    above = white[5, 15:75].mean(1)
    np.testing.assert_allclose(above, 200.0 * shade[15:75], atol=8.0)
    assert (np.diff(above) > 0).all()


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


def test_a_closed_mouth_stays_closed(engine: WarpEngine, picture: np.ndarray, landmarks: np.ndarray) -> None:
    frame, _ = engine.draw(without_motion(landmarks))
    low = landmarks[list(lm.OUTER_LIP_UPPER), :2].min(0).astype(int)
    high = landmarks[list(lm.OUTER_LIP_LOWER), :2].max(0).astype(int)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    assert np.abs(frame[part].astype(int) - picture[part]).mean() < 4.0


@pytest.mark.parametrize(
    "options", [{}, {"yaw_deg": 20.0}, {"roll_deg": -25.0, "dx": 10.0}, {"scale": 1.3}], ids=str
)
@pytest.mark.parametrize("wide", [0.12, 0.25, 0.45])
def test_an_opened_mouth_shows_no_skin(
    engine: WarpEngine, act: Move, wide: float, options: dict[str, float]
) -> None:
    motion = act(mouth=wide, **options)
    frame, _ = engine.draw(motion)
    inside = opening(motion, 3)
    assert inside.sum() > 100
    assert near(frame, SKIN, 30.0)[inside].mean() < 0.01
    # The lips' own colour ends at their edge.
    assert near(frame, LIPS, 30.0)[inside].mean() < 0.05
    light = frame[inside].mean(1)
    assert light.min() < 0.5 * np.mean(SKIN)


def test_lips_stay_lips_around_the_opening(engine: WarpEngine, act: Move) -> None:
    motion = act(mouth=0.25)
    frame, _ = engine.draw(motion)
    for inner, outer in ((lm.INNER_LIP_UPPER, lm.OUTER_LIP_UPPER), (lm.INNER_LIP_LOWER, lm.OUTER_LIP_LOWER)):
        for a, b in zip(inner[3:8], outer[3:8], strict=True):
            x, y = (0.4 * motion.landmarks[a, :2] + 0.6 * motion.landmarks[b, :2]).round().astype(int)
            assert np.linalg.norm(frame[y, x].astype(float) - LIPS) < 40.0


def test_a_source_with_an_open_mouth_keeps_its_own_inside(picture: np.ndarray, act: Move) -> None:
    """Its teeth are turquoise and its throat violet: nothing else may be seen when it closes a little."""
    teeth, throat = (90, 200, 190), (90, 20, 110)
    opened = act(mouth=0.3).landmarks
    painted = picture.copy()
    polygon(painted, opened[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, opened[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], throat)
    upper = opened[list(lm.INNER_LIP_UPPER)]
    below = 0.35 * (opened[list(lm.INNER_LIP_LOWER)] - upper)
    polygon(painted, np.concatenate([upper, (upper + below)[::-1]]), teeth)
    engine = WarpEngine()
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), opened))
    move = moves_of(opened)
    for options in ({}, {"yaw_deg": 12.0}, {"mouth": -0.08}):
        motion = move(**options)
        frame, _ = engine.draw(motion)
        inside = opening(motion, 5)
        known = near(frame, teeth, 60.0) | near(frame, throat, 60.0)
        assert known[inside].mean() > 0.85, options
        assert near(frame, SKIN, 30.0)[inside].mean() < 0.01, options
    assert near(engine.draw(move())[0], teeth, 40.0)[opening(move(), 3)].sum() > 100


def test_own_upper_teeth_stay_with_the_skull_when_the_jaw_drops(picture: np.ndarray, act: Move) -> None:
    """A row from lip to lip does not go down with the lower lip, nor do drawn teeth in a wide mouth: below is dark."""
    teeth = (225, 220, 205)
    smiling = act(mouth=0.12).landmarks
    painted = picture.copy()
    polygon(painted, smiling[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, smiling[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], teeth)
    engine = WarpEngine()
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), smiling))
    motion = moves_of(smiling)(mouth=0.2)
    frame, _ = engine.draw(motion)
    x, top = motion.landmarks[13, :2]
    bottom, old_bottom = motion.landmarks[14, 1], smiling[14, 1]
    column = frame[:, round(x)].astype(float).mean(1)
    assert column[round(0.5 * (top + old_bottom))] > 125
    assert column[round(0.5 * (old_bottom + bottom))] < 100


def test_drawn_upper_teeth_do_not_follow_the_jaw(engine: WarpEngine, act: Move) -> None:
    """Their lower edge stays where it is in the face while the mouth opens wider."""
    ends = []
    for mouth in (0.15, 0.25, 0.35):
        motion = act(mouth=mouth)
        frame, _ = engine.draw(motion)
        x, top = motion.landmarks[13, :2].round().astype(int)
        column = frame[top : round(motion.landmarks[14, 1]), x + 3].astype(float).min(1)
        lightest = int(np.argmax(column[:8]))
        ends.append(lightest + int(np.argmax(column[lightest:] < 0.6 * column[lightest])))
        assert column[ends[-1] + 4] < 0.4 * column[lightest]
    assert max(ends) - min(ends) <= 2


def test_a_wide_mouth_shows_a_tongue(engine: WarpEngine, act: Move) -> None:
    """A body in the light with dark beside and behind it, no brown plate from cheek to cheek."""
    motion = act(mouth=0.45)
    frame, _ = engine.draw(motion)
    upper, lower = motion.landmarks[13, :2], motion.landmarks[14, :2]
    corners = motion.landmarks[[78, 308], :2]

    def light(across: float, down: float) -> float:
        place = upper + down * (lower - upper) + across * (corners[1] - corners[0])
        x, y = place.round().astype(int)
        return float(frame[y - 1 : y + 2, x - 1 : x + 2].mean())

    middle = light(0.1, 0.65)
    assert middle > 0.52 * np.mean(SKIN)
    for place in ((0.36, 0.45), (-0.36, 0.45), (0.1, 0.3)):
        assert light(*place) < 0.6 * middle


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


def test_a_slit_between_lids_is_dark(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Lids that stop short of each other leave the shadow of lashes to be seen, no shining eye."""
    balls, levels = EyeLayer(picture, landmarks), []
    for lids in (0.2, 0.7):
        motion, frame = moves_of(landmarks)(lids=lids), np.full_like(picture, 255)
        balls.draw(frame, motion)
        ends = (motion.landmarks[edge[2], :2] for edge in (lm.RIGHT_UPPER_LID, lm.RIGHT_LOWER_LID))
        x, y = (0.5 * sum(ends)).round().astype(int)
        levels.append(frame[y, x - 1 : x + 2].mean())
    assert levels[0] < 0.7 * levels[1]


def test_no_mouth_is_drawn_on_a_mask(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Though the landmarks behind it stand apart."""
    cloth, masked = (180, 200, 230), picture.copy()
    lips = landmarks[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))]
    polygon(masked, lips.mean(0) + (lips - lips.mean(0)) * [2.2, 6.0, 1.0], cloth)
    engine = WarpEngine()
    engine.prepare(SourceLayers(masked, masked, np.ones((SIZE, SIZE), np.float32), landmarks))
    motion = moves_of(landmarks)(mouth=0.15)
    assert near(engine.draw(motion)[0], cloth, 30.0)[opening(motion, 2)].all()


def test_no_driver_pixels_reach_the_engine() -> None:
    """A drive frame is a few numbers: there is no room for a picture."""
    names = {field.name for field in fields(DriveFrame)}
    assert {"pose", "landmarks", "eye_openness"} <= names
    motion = without_motion(np.random.default_rng(0).normal(size=(478, 3)))
    sizes = [np.size(getattr(motion, name)) for name in names]
    assert sum(sizes) < 5000


@pytest.mark.parametrize("points", [2, 3, 4, 5, 9, 11])
def test_smooth_curves_are_the_usual_cubic_splines(points: int) -> None:
    from scipy.interpolate import CubicSpline

    curve = np.random.default_rng(points).uniform(0.0, 100.0, (points, 2))
    dense = np.linspace(0.0, points - 1.0, 4 * (points - 1) + 1)
    np.testing.assert_allclose(smooth_curve(curve), CubicSpline(np.arange(points), curve)(dense), atol=1e-9)


@pytest.mark.parametrize("softness_px", [2.0, 7.3, 12.0])
def test_wide_edges_are_as_soft_as_those_of_the_whole_mask(softness_px: float) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    outline = np.stack([181.3 + 130.0 * np.cos(turn), 96.8 + 50.0 * np.sin(turn)], axis=1)
    region = Region(5, 7, 358, 190)
    whole = fill(outline - [region.left, region.top], (region.bottom - region.top, region.right - region.left), 255)
    expected = cv2.GaussianBlur(whole, (0, 0), softness_px)
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
