"""The source's own teeth: where they are seen, and how long they serve a mouth that opens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import from_vector
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.landmark_warp.openings import fill
from avatarkit.systems.landmark_warp.own_mouth import USUAL_BEND, OwnMouth
from avatarkit.systems.landmark_warp.seen_teeth import SourceLight
from avatarkit.systems.landmark_warp.skin import skin_colour
from avatarkit.systems.landmark_warp.teeth import UPPER_ARCH, arch_light
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane

from ..conftest import Move
from .conftest import polygon

SCALE = 300.0
WHITE = np.ones(3)
TEETH, GUM = (235, 230, 215), (200, 90, 95)


def plain_smile(colour: np.ndarray, gap: float = 0.12) -> tuple[np.ndarray, ToothPlane]:
    """A picture with teeth of a colour over the upper four fifths of the opening of `smile`."""
    picture = np.full((200, 300, 3), (60, 25, 25), np.uint8)
    picture[round(100 - 0.3 * gap * SCALE) : round(100 + 0.5 * gap * SCALE)] = colour
    return picture, ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))


def smile(teeth: float, gap: float = 0.12, gum: float = 0.0, half: float = 0.5) -> OwnMouth:
    """A mouth 0.5 head units wide; its upper `teeth` of the opening are teeth, parted by thin dark gaps, below gum.

    They are seen up to `half` head units to either side.
    """
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))
    s = np.linspace(-0.25, 0.25, 11)
    arch = 1.0 - (s / 0.25) ** 2
    top, bottom = np.stack([s, -0.3 * gap * arch], axis=1), np.stack([s, 0.7 * gap * arch], axis=1)
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    first = round(100 - 0.3 * gap * SCALE)
    split, last = round(first + teeth * gap * SCALE), round(100 + 0.7 * gap * SCALE)
    picture[first:split] = TEETH
    picture[first:split, ::20] = (60, 40, 40)
    picture[first : round(first + gum * gap * SCALE)] = GUM
    picture[split:last] = (60, 25, 25)
    aside = np.abs(np.arange(300) - 150) > half * SCALE
    picture[first:last, aside] = (60, 25, 25)
    return OwnMouth(picture, plane, top, bottom, WHITE)


def test_red_light_hides_no_teeth() -> None:
    """In it they are as red as gums are in white light."""
    own = smile(0.8)
    lit = np.array([1.4, 1.0, 0.9])
    picture, plane = plain_smile(np.array(TEETH) * 0.7 * lit)
    assert OwnMouth(picture, plane, own._top, own._bottom, WHITE).teeth is None
    teeth = OwnMouth(picture, plane, own._top, own._bottom, lit).teeth
    assert teeth is not None
    np.testing.assert_allclose(teeth, np.array(TEETH) * 0.7 * lit, atol=8)


def test_the_row_of_a_smile_serves_however_wide_the_mouth() -> None:
    own = smile(0.8, half=0.2)
    assert own.teeth is not None
    np.testing.assert_allclose(own.teeth, TEETH, atol=8)
    assert [own.share(0.12 * ratio) for ratio in (0.5, 1.0, 1.5, 3.0)] == [1.0] * 4


def test_teeth_of_another_frame_have_the_light_of_the_source(
    picture: np.ndarray, landmarks: np.ndarray, act: Move
) -> None:
    opened = act(mouth=0.3).landmarks
    frame = picture.copy()
    polygon(frame, opened[list(lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER))], (60, 25, 25))
    upper = opened[list(lm.INNER_LIP_UPPER)]
    below = 0.5 * (opened[list(lm.INNER_LIP_LOWER)] - upper)
    polygon(frame, np.concatenate([upper, (upper + below)[::-1]]), TEETH)
    darker = (0.75 * frame).astype(np.uint8)
    for shown, source in ((frame, picture), (darker, picture), (frame, (0.75 * picture).astype(np.uint8))):
        colour = SourceLight.of(source, landmarks).teeth_in(shown, opened)
        assert colour is not None
        expected = np.array(TEETH) * (0.75 if source is not picture else 1.0)
        np.testing.assert_allclose(colour, expected, rtol=0.06)
    assert SourceLight.of(picture, landmarks).teeth_in(picture, landmarks) is None


@pytest.mark.parametrize(("teeth", "half", "until"), [(0.7, 0.12, 1.35), (0.35, 0.2, 1.2)], ids=["narrow", "strip"])
def test_less_serves_until_lips_would_show_where_it_is_cut(teeth: float, half: float, until: float) -> None:
    """It gives way little by little: lips part by half a millimetre between two frames of speech."""
    own = smile(teeth, half=half)
    assert own.teeth is not None
    shares = [own.share(0.12 * (until + more)) for more in (-0.6, -0.01, 0.3, 0.85, 1.5)]
    assert shares[:2] == [1.0, 1.0]
    assert 0.0 < shares[2] < 1.0
    assert shares[3:] == [0.0, 0.0]
    steps = [own.share(0.12 * until + 0.006 * step) for step in range(20)]
    assert max(before - after for before, after in pairwise(steps)) < 0.16


def test_what_lips_and_cheeks_hid_of_a_row_is_unknown() -> None:
    own = smile(0.8, half=0.18)
    s, d = np.meshgrid(np.float32([0.0, 0.05, 0.22]), np.float32([-0.06, -0.036, 0.0, 0.03]))
    known = 1.0 - np.maximum(own.above(s, d), own.beside(s))
    # The lip's edge runs 0.036 above in the middle, and lower aside.
    np.testing.assert_allclose(known[:, 0], [0.0, 1.0, 1.0, 1.0], atol=0.02)
    np.testing.assert_allclose(known[2:, 1], 1.0, atol=0.02)
    assert not known[:, 2].any()


def test_a_strip_has_no_seam_to_what_is_drawn_above_it() -> None:
    """Drawn teeth take its place little by little from its edge up, and wholly in the shadow of the lip."""
    own = smile(0.35, half=0.2)
    d = np.linspace(own.edge - 0.05, own.edge, 41, dtype=np.float32)[:, None]
    above = own.above(np.zeros_like(d), d)[:, 0]
    assert above[0] == pytest.approx(1.0)
    assert above[-1] == pytest.approx(0.0, abs=0.05)
    assert -np.diff(above).min() < 0.1


def test_lower_teeth_right_below_are_not_taken_along() -> None:
    """Only a thin dark line lies between, and on one side the upper teeth are shorter."""
    own = smile(0.7)
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    picture[89:125] = TEETH
    picture[105:108, 150:] = (40, 20, 20)
    picture[112:115, :150] = (40, 20, 20)
    picture[89:125, ::20] = (60, 40, 40)
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))
    own = OwnMouth(picture, plane, own._top, own._bottom, WHITE)
    frame = np.zeros((1, 2, 3), np.float32)
    for number, (edge, side) in enumerate(((5.0, 0.06), (12.0, -0.06))):
        for below, taken in ((-3.0, True), (7.0, False)):
            frame[:] = 0.0
            s = np.float32([[side, side + 0.01 * (1 - 2 * number)]])
            own.lay_upper(frame, s, np.full_like(s, (edge + below) / SCALE), 1.0)
            assert (frame.max(2) > 150.0).all() == taken, (side, below)


def test_teeth_in_the_shadow_of_the_cheek_are_teeth() -> None:
    """Drawn ones beside them go on in their light."""
    own = smile(0.7, half=0.2)
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    picture[89:114] = TEETH
    picture[114:125] = (30, 15, 15)
    dim = np.abs(np.arange(300) - 150) > 0.12 * SCALE
    picture[89:114, dim] = (0.65 * np.array(TEETH)).astype(np.uint8)
    picture[89:125, np.abs(np.arange(300) - 150) > 0.2 * SCALE] = (30, 15, 15)
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))
    own = OwnMouth(picture, plane, own._top, own._bottom, WHITE)
    np.testing.assert_allclose(own.ends, (-0.2, 0.2), atol=0.025)
    lit, dark, unseen = own.light(np.float32([[0.0, 0.19, 0.27]]))[0] * arch_light(np.array([0.0, 0.19, 0.19]))
    assert 0.5 < dark / lit < 0.75
    assert unseen < 0.6 * dark


def test_the_colour_of_teeth_is_that_in_the_light() -> None:
    """Drawn ones lie in a shadow of the lip that is drawn, too."""
    whole = smile(0.8, half=0.2)
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    picture[89:118], picture[118:126] = TEETH, (30, 15, 15)
    picture[89:109] = (0.85 * np.array(TEETH)).astype(np.uint8)
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))
    own = OwnMouth(picture, plane, whole._top, whole._bottom, WHITE)
    assert own.teeth is not None
    np.testing.assert_allclose(own.teeth, TEETH, atol=8)


def test_drawn_teeth_end_where_its_own_do() -> None:
    """A row that rises to both sides, as in a smile, goes on so beside its ends; a level one goes on level."""
    picture = np.full((200, 300, 3), (170, 110, 100), np.uint8)
    x = np.arange(300)
    rows, edge = np.arange(200)[:, None], 116 - 14 * (np.abs(x - 150) / 54.0) ** 2
    picture[89:126] = (30, 15, 15)
    picture[(rows >= 89) & (rows < edge) & (np.abs(x - 150) < 54)] = TEETH
    level = smile(0.7, half=0.18)
    plane = ToothPlane.of(Similarity(np.eye(3), np.array([150.0, 100.0, 0.0]), SCALE), np.zeros(3))
    rising = OwnMouth(picture, plane, level._top, level._bottom, WHITE)
    places = np.float32([[-0.25, 0.0, 0.25]])
    usual = USUAL_BEND * np.abs(places[0])
    for own, bend in ((level, 0.0), (rising, -0.035)):
        found = own.bend(places)[0] + usual
        assert found[1] == pytest.approx(0.0, abs=0.012)
        np.testing.assert_allclose(found[[0, 2]], bend, atol=0.02)


def test_gaps_between_teeth_are_no_holes() -> None:
    own = smile(0.7)
    colours = np.zeros((1, 61, 3), np.float32)
    s = np.linspace(-0.1, 0.1, 61, dtype=np.float32)[None]
    own.lay_upper(colours, s, np.full_like(s, 0.01), 1.0)
    assert colours.max(2).min() > 50.0


def test_gum_above_teeth_is_kept() -> None:
    """Gum is too red for a tooth, but what lies above a tooth belongs to the skull as well."""
    own = smile(0.7, gum=0.2)
    colours = np.zeros((1, 41, 3), np.float32)
    s = np.linspace(-0.08, 0.08, 41, dtype=np.float32)[None]
    own.lay_upper(colours, s, np.full_like(s, -0.02), 1.0)
    np.testing.assert_allclose(np.median(colours[0], axis=0), GUM, atol=25)


def test_no_teeth_are_seen_in_the_dark() -> None:
    own = smile(0.0)
    assert own.teeth is None
    assert own.share(0.12) == pytest.approx(0.0)


@pytest.mark.parametrize("half", [0.08, 0.12])
def test_where_the_row_ends(half: float) -> None:
    np.testing.assert_allclose(smile(0.7, half=half).ends, (-half, half), atol=0.02)


@pytest.mark.parametrize("turn_deg", [-25.0, 25.0])
def test_teeth_to_the_side_lie_farther_back(turn_deg: float) -> None:
    """Where a tooth that stands on the arch is seen, the same tooth is looked up; a frontal row has no shift."""
    turned = ToothPlane.of(Similarity(from_vector(np.radians([0.0, turn_deg, 0.0])), np.zeros(3), SCALE), np.zeros(3))
    angle = np.radians([-50.0, -20.0, 0.0, 20.0, 50.0])
    teeth = np.stack([UPPER_ARCH * np.sin(angle), np.zeros(5), UPPER_ARCH * (1.0 - np.cos(angle))], axis=1)
    seen = SCALE * teeth @ from_vector(np.radians([0.0, turn_deg, 0.0])).T
    places = np.array([turned.place(point[:2]) for point in seen])
    s, d = turned.on_arch(places[:, 0].astype(np.float32), places[:, 1].astype(np.float32))
    before = np.abs(places[:, 0] - teeth[:, 0])
    assert (np.abs(s - teeth[:, 0]) <= 0.5 * before + 0.002).all()
    np.testing.assert_allclose(d, 0.0, atol=1e-6)
    same, _ = turned.on_arch(places[:, 0].astype(np.float32), places[:, 1].astype(np.float32), since=turned)
    np.testing.assert_allclose(same, places[:, 0], rtol=1e-6)


@pytest.mark.parametrize(("teeth", "at", "beyond"), [(0.7, 1.15, 1.75), (0.0, 1.15, 1.9)])
def test_all_that_a_source_shows_serves_a_mouth_like_its_own(teeth: float, at: float, beyond: float) -> None:
    own = smile(teeth)
    assert [own.likeness(0.12 * ratio) for ratio in (1.0, at, beyond)] == [1.0, 1.0, 0.0]
    assert own.likeness(0.12 * 0.4) == (0.0 if own.teeth is not None else 1.0)


def test_what_lies_between_the_lips_is_found_by_its_share_of_the_way() -> None:
    own = smile(0.7)
    across, down = np.meshgrid(np.float32([0.4, 0.5]), np.float32([0.1, 0.5, 0.9]))
    light = own.whole(across, down, own.gap(0.5 * across - 0.25)).mean(2)
    np.testing.assert_allclose(light[:2], np.mean(TEETH), atol=12)
    np.testing.assert_allclose(light[2], 110 / 3, atol=12)


@pytest.mark.parametrize("times", [0.5, 0.7, 1.0, 1.3, 1.6])
def test_lips_slide_over_teeth_and_do_not_stretch_them(times: float) -> None:
    """As far as it is the source's mouth its upper teeth are as long as there: others would be seen beside them."""
    own = smile(0.6, half=0.2)
    gap = np.full((121, 1), 0.12 * times, np.float32)
    down = np.linspace(0.0, 1.0, 121, dtype=np.float32)[:, None]
    light = own.whole(np.full_like(down, 0.46), down, gap).mean(2)[:, 0]
    bright = np.flatnonzero(light > 130.0)
    assert down[bright[-1], 0] * gap[0, 0] == pytest.approx(min(0.6 * 0.12, gap[0, 0]), abs=0.008)
    if times > 0.7:
        assert light[-12] < 60.0


@pytest.mark.parametrize("gap_px", [4.0, 12.0, 30.0])
def test_a_mouth_as_it_is_in_the_source_stays_as_it_is(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, gap_px: float
) -> None:
    """Whatever it shows: here a picture in which nothing is a tooth, or a lip."""
    points = np.asarray(hopper_landmarks, np.float64).copy()
    for ring, sign in ((lm.INNER_LIP_UPPER, -0.5), (lm.INNER_LIP_LOWER, 0.5)):
        points[list(ring)[1:-1], 1] += sign * gap_px * np.sin(np.linspace(0, np.pi, len(ring)))[1:-1]
    y, x = np.mgrid[: grace_hopper.shape[0], : grace_hopper.shape[1]]
    picture = np.stack([90 + 40 * np.sin(x / 7), 80 + 40 * np.cos(y / 5), 90 + 0 * x], axis=2).astype(np.uint8)
    pose = head_frame(points)
    frame = picture.copy()
    MouthLayer(picture, points).draw(frame, DriveFrame(pose, points, np.ones(2), 0))
    low, high = points[[61, 291, 0, 17], :2].min(0).astype(int), points[[61, 291, 0, 17], :2].max(0).astype(int)
    mouth = np.s_[low[1] : high[1], low[0] : high[0]]
    assert np.abs(frame[mouth].astype(int) - picture[mouth]).mean() < 3


@pytest.mark.parametrize("gap", [0.013, 0.018, 0.025])
def test_what_is_seen_between_hardly_parted_lips_stays(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, gap: float
) -> None:
    """Nothing that is drawn for lips that close is laid over it."""
    points, picture = np.asarray(hopper_landmarks, np.float64).copy(), grace_hopper.copy()
    plane = ToothPlane.of(head_frame(points), np.zeros(3))
    middle = 0.5 * (points[list(lm.INNER_LIP_UPPER)] + points[list(lm.INNER_LIP_LOWER)])
    arch = np.sin(np.linspace(0.0, np.pi, len(middle)))[:, None]
    for ring, sign in ((lm.INNER_LIP_UPPER, -0.5), (lm.INNER_LIP_LOWER, 0.5)):
        points[list(ring)] = middle
        points[list(ring), :2] += sign * gap * arch * plane.matrix[:, 1]
    low, high = points[list(lm.INNER_LIP_UPPER), :2].min(0), points[list(lm.INNER_LIP_LOWER), :2].max(0)
    (left, top), (right, bottom) = low.astype(int) - 8, high.astype(int) + 8
    picture[top:bottom, left:right] = TEETH
    frame = picture.copy()
    MouthLayer(picture, points).draw(frame, DriveFrame(head_frame(points), points, np.ones(2), 0))
    np.testing.assert_allclose(frame.astype(int), picture, atol=6)


def test_teeth_that_come_out_of_the_shadow_of_the_lips_are_light(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    """Seen through parted lips they are dim; a wide mouth shows them as light as teeth are in that light."""

    def parted(gap_px: float) -> np.ndarray:
        points = np.asarray(hopper_landmarks, np.float64).copy()
        for ring, share in ((lm.INNER_LIP_UPPER, -0.2), (lm.INNER_LIP_LOWER, 0.8)):
            points[list(ring)[1:-1], 1] += share * gap_px * np.sin(np.linspace(0, np.pi, len(ring)))[1:-1]
        return points

    points, picture = parted(8.0), grace_hopper.copy()
    outline = np.concatenate([points[list(lm.INNER_LIP_UPPER), :2], points[list(lm.INNER_LIP_LOWER), :2][::-1]])
    inside = fill(outline, picture.shape[:2]) > 0
    top = points[13, 1]
    rows = np.arange(len(picture))[:, None]
    picture[inside & (rows < top + 5)] = (105, 85, 85)
    picture[inside & (rows >= top + 5)] = (40, 20, 20)
    wide = parted(26.0)
    frame = picture.copy()
    MouthLayer(picture, points).draw(frame, DriveFrame(head_frame(wide), wide, np.ones(2), 0))
    x, y = wide[13, :2].round().astype(int)
    skin = float(skin_colour(picture, points).mean())
    assert np.percentile(frame[y : y + 12, x - 10 : x + 10].mean(2), 80) > 0.75 * skin


def test_no_line_is_drawn_along_a_lip_before_a_floor_that_is_seen(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    def opened(gap_px: float) -> np.ndarray:
        points = np.asarray(hopper_landmarks, np.float64).copy()
        points[list(lm.INNER_LIP_LOWER)[1:-1], 1] += gap_px * np.sin(np.linspace(0, np.pi, 11))[1:-1]
        return points

    points, picture = opened(40.0), np.full_like(grace_hopper, (190, 110, 105))
    top = points[13, 1].round().astype(int)
    picture[top : top + 8] = TEETH
    frame, closing = picture.copy(), opened(24.0)
    MouthLayer(picture, points).draw(frame, DriveFrame(head_frame(closing), closing, np.ones(2), 0))
    x, y = closing[14, :2].round().astype(int)
    assert frame[y - 8 : y + 2, x - 6 : x + 6].mean(2).min() > 0.85 * picture[-1].mean()
