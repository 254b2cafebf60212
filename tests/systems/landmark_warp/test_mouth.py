"""The inside of the mouth, on a painted face: teeth, tongue and lips are where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.limits import shifted
from avatarkit.systems.landmark_warp.mouth import GUM_BARED, MouthLayer
from avatarkit.systems.landmark_warp.teeth import palette
from avatarkit.systems.protocol import SeenTeeth, SourceLayers

from ..conftest import Move, moves_of, without_motion
from .conftest import LIPS, SIZE, SKIN, near, opening, polygon


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
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), opened, cut_out=False))
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
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), smiling, cut_out=False))
    motion = moves_of(smiling)(mouth=0.2)
    frame, _ = engine.draw(motion)
    x, top = motion.landmarks[13, :2]
    bottom, old_bottom = motion.landmarks[14, 1], smiling[14, 1]
    column = frame[:, round(x)].astype(float).mean(1)
    assert column[round(0.5 * (top + old_bottom))] > 125
    assert column[round(0.5 * (old_bottom + bottom))] < 100


def test_the_row_of_a_smile_goes_with_a_lip_that_rises_far(picture: np.ndarray, act: Move) -> None:
    """A head that moves in a way that its pose does not tell bares no plate of gum above the photo's teeth."""
    teeth = (225, 220, 205)
    smiling = spread(act(mouth=0.14), 1.3).landmarks
    painted = picture.copy()
    polygon(painted, smiling[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, smiling[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], teeth)
    layer, scale = MouthLayer(painted, smiling), head_frame(smiling).scale
    upper = sorted({i for row in lm.UPPER_LIP_ROWS for i in row[1:-1]})

    def lowest(raised: float) -> int:
        motion = moves_of(smiling)(mouth=0.2)
        motion.landmarks[upper, 1] -= raised * scale
        frame = painted.copy()
        layer.draw(frame, motion)
        (x, top), bottom = motion.landmarks[13, :2].round().astype(int), round(motion.landmarks[14, 1])
        light = frame[top:bottom, x].astype(float).min(1)
        return top + int(np.flatnonzero(light > 0.8 * light[: len(light) // 2].max()).max())

    still = lowest(0.0)
    assert abs(lowest(0.01) - still) <= 1
    assert still - lowest(0.12) == pytest.approx((0.12 - GUM_BARED) * scale, abs=2.5)


def test_a_high_narrow_row_stays_where_it_is_while_it_gives_way(picture: np.ndarray, act: Move) -> None:
    """Lips that do not move bare what they bared: teeth that rose behind them would be seen twice."""
    opened = act(mouth=0.2).landmarks
    painted = picture.copy()
    polygon(painted, opened[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, opened[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], (50, 20, 20))
    scale, upper = head_frame(opened).scale, opened[list(lm.INNER_LIP_UPPER)[3:-3]]
    below = upper + np.array([0.0, 0.15 * scale, 0.0])
    polygon(painted, np.concatenate([upper, below[::-1]]), (225, 220, 205))
    layer = MouthLayer(painted, opened)
    ends = []
    for more in (0.0, 0.1, 0.14, 0.18, 0.24):
        motion = moves_of(opened)(mouth=more)
        frame = painted.copy()
        layer.draw(frame, motion)
        (x, top), bottom = motion.landmarks[13, :2].round().astype(int), round(motion.landmarks[14, 1])
        light = frame[top:bottom, x + 4].astype(float).min(1)
        ends.append(int(np.flatnonzero(light[: round(0.2 * scale)] > 0.5 * light.max())[-1]))
    assert np.ptp(ends) <= 2, ends


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


def test_teeth_that_footage_showed_are_drawn(picture: np.ndarray, landmarks: np.ndarray, act: Move) -> None:
    """In their colour, both rows, and where they end."""
    whole, motion = np.ones((SIZE, SIZE), np.float32), act(mouth=0.25)
    ends, (x, top), bottom = [], motion.landmarks[13, :2].round().astype(int), motion.landmarks[14, 1]
    for edge in (0.01, 0.05):
        engine = WarpEngine()
        teeth = SeenTeeth((60.0, 200.0, 200.0), edge)
        engine.prepare(SourceLayers(picture, picture, whole, landmarks, cut_out=False, teeth=teeth))
        column = engine.draw(motion)[0][top : round(bottom), x + 3].astype(float)
        turquoise = np.flatnonzero(column[:, 1] > 1.5 * column[:, 0])
        gap = int(np.argmax(np.diff(turquoise)))
        assert np.diff(turquoise)[gap] > 4
        assert column[turquoise, 1].max() > 130.0
        ends.append(int(turquoise[gap]))
    assert ends[1] - ends[0] == pytest.approx(0.04 * head_frame(landmarks).scale, abs=2.0)


def spread(motion: DriveFrame, times: float) -> DriveFrame:
    """The same with a mouth that many times as wide."""
    points, lips = motion.landmarks.copy(), sorted({i for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for i in row})
    points[lips, 0] = points[13, 0] + times * (points[lips, 0] - points[13, 0])
    return replace(motion, landmarks=points)


def middle_column(engine: WarpEngine, motion: DriveFrame) -> np.ndarray:
    """Light between the lips, from the upper one to the lower one, beside the middle of the mouth."""
    frame, _ = engine.draw(motion)
    (x, top), bottom = motion.landmarks[13, :2], motion.landmarks[14, 1]
    return frame[round(top) + 3 : round(bottom) - 2, round(x) + 3].astype(float).mean(1)


def test_jaws_of_a_grin_are_together(engine: WarpEngine, act: Move) -> None:
    """Lips that are drawn apart bare teeth from lip to lip; those of a round mouth, as far apart, a dark hole."""
    grin, round_mouth = (middle_column(engine, spread(act(mouth=0.1), times)) for times in (1.35, 0.9))
    assert grin.min() > 60
    assert round_mouth.min() < 45


def test_lower_teeth_go_with_the_jaw(engine: WarpEngine, act: Move) -> None:
    """As far above the lip, whatever its distance from the upper teeth; the wider the mouth, the more of them."""

    def seen_px(mouth: float, times: float) -> int:
        column = middle_column(engine, spread(act(mouth=mouth), times))
        dark = np.flatnonzero(column < 0.6 * column[len(column) // 2 :].max())
        return len(column) - 1 - int(dark[dark < len(column) - 3].max())

    wide = [seen_px(mouth, 1.3) for mouth in (0.2, 0.3, 0.4)]
    assert max(wide) - min(wide) <= 2
    assert min(wide) >= 1.5 * seen_px(0.3, 1.0)


def test_shade_in_a_mouth_is_red_but_in_grey_pictures(picture: np.ndarray, landmarks: np.ndarray, act: Move) -> None:
    """Teeth in the shadow of the lip are lit by the flesh around them."""
    grey = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    motion = act(mouth=0.1)
    upper = sorted({i for row in lm.UPPER_LIP_ROWS for i in row[1:-1]})
    motion.landmarks[upper, 1] -= 0.06 * motion.pose.scale
    for source, least, most in ((picture, 1.03, 1.25), (grey, 0.98, 1.02)):
        frame = source.copy()
        MouthLayer(source, landmarks).draw(frame, motion)
        x, top = motion.landmarks[13, :2].round().astype(int)
        tooth = frame[top + 2 : top + 9, x + 5].astype(float)
        red = tooth[:, 0] / tooth[:, 1]
        assert least < red[0] / red[-1] < most


def test_a_wide_mouth_shows_a_tongue(engine: WarpEngine, act: Move) -> None:
    """A body in the light, with dark to both sides, and ever darker towards the throat."""
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
        assert light(*place) < 0.7 * middle


def test_a_round_opening_has_no_corners(picture: np.ndarray, landmarks: np.ndarray, act: Move) -> None:
    """Where the lips meet at its sides its edge is upright, and reaches beyond straight ones from point to point."""
    motion = act(mouth=0.45)
    middle, half = motion.landmarks[[78, 308], :2].mean(0), 0.5 * motion.pose.scale
    along = np.linspace(-1.0, 1.0, 11)
    for row, sign in ((lm.INNER_LIP_UPPER, -1.0), (lm.INNER_LIP_LOWER, 1.0)):
        motion.landmarks[list(row), :2] = middle + half * np.stack([along, sign * np.sqrt(1.0 - along**2)], axis=1)
    frame = np.full_like(picture, 255)
    MouthLayer(picture, landmarks).draw(frame, motion)
    angles = np.deg2rad([-16.0, -10.0, 10.0, 16.0, 164.0, 170.0, 190.0, 196.0])
    x, y = (middle + (half - 2.0) * np.stack([np.cos(angles), np.sin(angles)], axis=1)).round().astype(int).T
    assert frame[y, x].mean(1).max() < 75.0


def test_tongues_of_pale_faces_are_not_purple(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Pale skin is nearly as blue as it is green; a tongue that keeps that is purple."""
    pale = picture.copy()
    pale[near(picture, SKIN, 30.0)] = (236, 214, 210)
    red, green, blue = palette(pale, landmarks).tongue
    assert red > 1.3 * green
    assert blue < 1.09 * green


def test_no_mouth_is_drawn_on_a_mask(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Though the landmarks behind it stand apart."""
    cloth, masked = (180, 200, 230), picture.copy()
    lips = landmarks[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))]
    polygon(masked, lips.mean(0) + (lips - lips.mean(0)) * [2.2, 6.0, 1.0], cloth)
    engine = WarpEngine()
    engine.prepare(SourceLayers(masked, masked, np.ones((SIZE, SIZE), np.float32), landmarks, cut_out=False))
    motion = moves_of(landmarks)(mouth=0.15)
    assert near(engine.draw(motion)[0], cloth, 30.0)[opening(motion, 2)].all()


def test_lips_that_close_over_teeth_show_none_of_them(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """The source's teeth are squeezed into steps below the line that is drawn."""
    teeth, own = (235, 230, 215), head_frame(landmarks)
    smiling = landmarks.copy()
    lower = sorted({i for row in lm.LOWER_LIP_ROWS for i in row[1:-1]})
    smiling[lower, 1] += 0.12 * own.scale
    painted = picture.copy()
    polygon(painted, smiling[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, smiling[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], teeth)
    engine = WarpEngine()
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), smiling, cut_out=False))
    frame, _ = engine.draw(DriveFrame(own, landmarks, np.ones(2), 0))
    low, high = landmarks[[13, 81, 311], :2].min(0).astype(int), landmarks[[14, 178, 402], :2].max(0).astype(int)
    part = frame[low[1] - 2 : high[1] + 3, low[0] : high[0] + 1].astype(int)
    assert part[..., 1].max() < 0.5 * (LIPS[1] + teeth[1])


@pytest.mark.parametrize("roll_deg", [0.0, 180.0])
def test_a_mouth_may_lie_across_any_edge_of_the_frame(
    picture: np.ndarray, landmarks: np.ndarray, act: Move, roll_deg: float
) -> None:
    """Whatever part of it is left, also of a head that is upside down."""
    layer, opened = MouthLayer(picture, landmarks), {"mouth": 0.45, "roll_deg": roll_deg}
    beside, drawn = 160, 0
    middle = act(**opened).landmarks[[13, 14], :2].mean(0)
    for beyond in range(-56, 57, 4):
        for edge in ([0, 256], [SIZE, 256], [256, 0], [256, SIZE]):
            dx, dy = edge - middle + (beyond if edge[1] == 256 else 0, beyond if edge[0] == 256 else 0)
            frame = np.full_like(picture, SKIN)
            layer.draw(frame, act(**opened, dx=dx, dy=dy))
            assert np.array_equal(frame[128:384, 128:384], np.full_like(picture, SKIN)[128:384, 128:384])
            whole = np.full((SIZE + 2 * beside, SIZE + 2 * beside, 3), SKIN, np.uint8)
            layer.draw(whole, act(**opened, dx=dx + beside, dy=dy + beside))
            part = whole[beside : beside + SIZE, beside : beside + SIZE]
            assert np.abs(frame.astype(int) - part).max() < 4
            drawn = max(drawn, np.count_nonzero((frame != SKIN).any(2)))
    assert drawn > 1000


def test_own_teeth_do_not_go_by_how_much_of_the_mouth_is_in_the_frame(picture: np.ndarray, act: Move) -> None:
    smiling = act(mouth=0.12).landmarks
    painted = picture.copy()
    polygon(painted, smiling[list(lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER))], LIPS)
    polygon(painted, smiling[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], (225, 220, 205))
    layer, motion = MouthLayer(painted, smiling), moves_of(smiling)(mouth=0.07)
    assert layer._own is not None
    layer._own.stays = False
    whole = painted.copy()
    layer.draw(whole, motion)
    for share in (0.9, 0.93, 0.96):
        cut = round(motion.landmarks[78, 0] + share * (motion.landmarks[308, 0] - motion.landmarks[78, 0]))
        part = painted[:, cut:].copy()
        layer.draw(part, shifted(motion, np.array([-cut, 0.0])))
        assert np.abs(part[:, 3:].astype(int) - whole[:, cut + 3 :]).max() < 4


def test_lips_as_in_the_source_are_not_opened(picture: np.ndarray, landmarks: np.ndarray) -> None:
    """Though the lower lip lies deeper than the upper one, which the plane of the teeth does not show."""
    deep = landmarks.copy()
    deep[list(lm.INNER_LIP_LOWER), 2] += 0.06 * head_frame(landmarks).scale
    assert MouthLayer(picture, deep)._opened(without_motion(deep)) == pytest.approx(0.0, abs=1e-9)
