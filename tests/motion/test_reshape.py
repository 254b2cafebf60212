"""Changes of a face's shape: lids, lips, proportions."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.reshape import (
    LIP_RANGE,
    MOST_CLOSING,
    WIDEST_MOUTH,
    WIDEST_OPENING,
    closing_lips,
    lips_closer,
    region_weights,
    with_lids,
    with_lips_apart,
    with_lips_of,
    with_mouth_within,
)

UPPER, LOWER = list(lm.INNER_LIP_UPPER), list(lm.INNER_LIP_LOWER)


@pytest.fixture
def face(hopper_landmarks: np.ndarray) -> np.ndarray:
    """A real face in head coordinates, its lips brought together."""
    points = np.asarray(hopper_landmarks, np.float64)
    shape = head_frame(points).apply_inverse(points)
    middle = (shape[UPPER] + shape[LOWER]) / 2.0
    shape[UPPER], shape[LOWER] = middle, middle
    return shape


def opened(face: np.ndarray, height: float) -> np.ndarray:
    """The face with its lower inner lip dropped by up to `height` head units in the middle."""
    shape = face.copy()
    arch = np.sin(np.linspace(0.0, np.pi, len(LOWER)))
    shape[LOWER, 1] += height * arch
    return shape


def dropped(face: np.ndarray, height: float) -> np.ndarray:
    """The face with its jaw dropped, and with it its lower inner lip."""
    shape = opened(face, height)
    jaw = np.clip((face[:, 1] - face[LOWER, 1].mean()) / 0.05, 0.0, 1.0) * np.cos(np.clip(2.0 * face[:, 0], -1.5, 1.5))
    jaw[LOWER] = 0.0
    shape[:, 1] += height * jaw
    return shape


def gap(shape: np.ndarray) -> float:
    return float((shape[LOWER, 1] - shape[UPPER, 1]).max())


def test_open_lips_close_when_the_drivers_are_closed(face: np.ndarray) -> None:
    source = opened(face, 0.1)
    closed = source + closing_lips(source, face)
    assert gap(closed) == pytest.approx(0.0, abs=1e-9)
    # Nothing but the mouth's region moves: the eyes stay where they are.
    assert np.array_equal(closed[list(lm.UPPER_LIDS[0])], source[list(lm.UPPER_LIDS[0])])


def test_lips_keep_the_opening_that_the_driver_has_too(face: np.ndarray) -> None:
    source = opened(face, 0.1)
    assert not closing_lips(source, opened(face, 0.12)).any()
    half = source + closing_lips(source, opened(face, 0.04))
    assert gap(half) == pytest.approx(0.04, abs=1e-9)


def test_a_scream_closes_only_as_far_as_the_picture_allows(face: np.ndarray) -> None:
    source = opened(face, 0.5)
    assert gap(source + closing_lips(source, face)) == pytest.approx(0.5 - MOST_CLOSING, abs=1e-9)


def test_lips_closer_without_limit_closes_a_scream(face: np.ndarray) -> None:
    source = opened(face, 0.5)
    assert gap(source + lips_closer(source, 1.0)) == pytest.approx(0.0, abs=1e-9)


def test_lips_close_without_a_jump(face: np.ndarray) -> None:
    """However little there is to close: a chin that jumps by two pixels from one frame to the next is seen."""
    source, step = dropped(face, 0.1), 0.0005
    for sweep in (
        [closing_lips(source, opened(face, wanted)) for wanted in np.arange(0.0, 0.12, step)],
        [lips_closer(source, closing) for closing in np.arange(0.0, 0.12, step)],
        [lips_closer(dropped(face, height), 1.0) for height in np.arange(0.0, 0.12, step)],
    ):
        assert np.abs(sweep[0] - sweep[-1]).max() > 0.05
        assert np.abs(np.diff(sweep, axis=0)).max() < 1.01 * step


def test_lips_that_close_keep_their_form_beside_the_corners(face: np.ndarray) -> None:
    """There the outline of open lips lies aside of their edge, and left behind it would end a mouth upright."""
    smiling = opened(face, 0.15)
    for row in lm.LOWER_LIP_ROWS[:-1]:
        smiling[list(row), 1] += 0.15 * np.sin(np.linspace(0.0, np.pi, 11)) ** 0.5
    closed = smiling + lips_closer(smiling, 0.15)
    for rows in (lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS):
        numbers = np.array(rows)
        thick = (closed[numbers] - closed[numbers[-1]])[..., 1]
        np.testing.assert_allclose(thick, (smiling[numbers] - smiling[numbers[-1]])[..., 1], atol=1e-9)


def test_a_jaw_closes_as_a_whole(face: np.ndarray) -> None:
    """The chin comes up with its sides: skin that stays beside skin that moves would show as a step."""
    up = -lips_closer(dropped(face, 0.4), 1.0)[:, 1]
    chin, sides = up[152], up[[176, 400]]
    assert 0.2 < chin < 0.3
    assert (sides > 0.6 * chin).all()
    assert (up[[58, 288]] < 0.3 * chin).all()
    corners = up[[UPPER[0], UPPER[-1]]]
    assert (corners < up[LOWER].max() / 2).all()


def mouth_width(shape: np.ndarray) -> float:
    return float(np.linalg.norm(shape[lm.OUTER_LIP_UPPER[-1]] - shape[lm.OUTER_LIP_UPPER[0]]))


def test_usual_mouths_pass_unchanged(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    shape = opened(face, 0.4 * mouth_width(face))
    np.testing.assert_array_equal(with_mouth_within(shape, face, mouth), shape)


def test_a_gaping_mouth_opens_less_and_never_beyond_the_limit(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    width = mouth_width(face)
    gaps = [gap(with_mouth_within(opened(face, share * width), face, mouth)) / width for share in (0.6, 0.75, 1.0, 2.5)]
    assert gaps == sorted(gaps)
    assert gaps[0] > WIDEST_OPENING[0]
    assert gaps[-1] == pytest.approx(WIDEST_OPENING[1], abs=0.005)


def test_a_mouth_that_opens_meets_the_limit_without_a_jump(face: np.ndarray) -> None:
    """Beside a jump of the chin, points come closer by the tangent's slope alone, which is at most 1."""
    mouth, _ = region_weights(face)
    width, step = mouth_width(face), 0.0005
    shapes = [dropped(face, share * width) for share in np.arange(0.45, 1.0, step)]
    held = np.stack([with_mouth_within(shape, face, mouth) - shape for shape in shapes])
    assert np.abs(held[-1]).max() > 0.1 * width
    assert np.abs(np.diff(held, axis=0)).max() < 1.01 * step * width


def test_a_grin_is_no_wider_than_the_limit(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)
    shape = face.copy()
    lips = [i for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for i in row]
    shape[sorted(set(lips)), 0] *= 1.6
    held = with_mouth_within(shape, face, mouth)
    assert WIDEST_MOUTH[0] < mouth_width(held) / mouth_width(face) < WIDEST_MOUTH[1] + 1e-3


def test_who_smiles_already_grins_hardly_wider(face: np.ndarray) -> None:
    mouth, _ = region_weights(face)

    def widened(shape: np.ndarray, width: float) -> np.ndarray:
        result = shape.copy()
        result[:, 0] += mouth * (width / mouth_width(shape) - 1.0) * (shape[:, 0] - shape[UPPER, 0].mean())
        return result

    smiling = widened(face, 0.72)
    held = with_mouth_within(widened(smiling, 0.95), smiling, mouth)
    assert mouth_width(smiling) < mouth_width(held) < 0.77
    np.testing.assert_allclose(with_mouth_within(smiling, smiling, mouth), smiling, atol=1e-12)


@pytest.mark.parametrize(("factor", "kept"), [(0.1, LIP_RANGE[0]), (1.0, 1.0), (3.0, LIP_RANGE[1])])
def test_lips_keep_their_thickness(face: np.ndarray, factor: float, kept: float) -> None:
    shape = face.copy()
    for rows in (lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS):
        inner, outer = list(rows[-1][2:-2]), list(rows[0][2:-2])
        shape[outer, 1] = shape[inner, 1] + factor * (face[outer, 1] - face[inner, 1])
    result = with_lips_of(shape, face)
    for rows in (lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS):
        inner, outer = list(rows[-1][2:-2]), list(rows[0][2:-2])
        np.testing.assert_allclose(
            result[outer, 1] - result[inner, 1], kept * (face[outer, 1] - face[inner, 1]), atol=1e-9
        )
        np.testing.assert_array_equal(result[inner], shape[inner])


@pytest.mark.parametrize("between", [0.3, 1.0, 1.6])
def test_lips_meet_their_limits_without_a_jump(face: np.ndarray, between: float) -> None:
    """Also where what lies between an outline and an opening grows by another share than the outline does."""
    step, shapes, most = 0.0005, [], 0.0
    for factor in np.arange(-0.5, 2.0, step):
        shape = face.copy()
        for rows in (lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS):
            numbers = np.array(rows)[:, 2:-2]
            own = face[numbers[:-1], 1] - face[numbers[-1], 1]
            grown = 1.0 + (factor - 1.0) * np.array([1.0, between, between])[:, None]
            shape[numbers[:-1], 1] = face[numbers[-1], 1] + grown * own
            most = max(most, float(np.abs(own).max()))
        shapes.append(with_lips_of(shape, face))
    jump = float(np.abs(np.diff(shapes, axis=0)).max())
    assert jump < 1.5 * max(between, 1.0) * step * most


@pytest.mark.parametrize("rows", [lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS], ids=["upper", "lower"])
def test_lips_beside_a_corner_do_not_stand_out_of_those_that_are_held(
    face: np.ndarray, rows: tuple[tuple[int, ...], ...]
) -> None:
    """A lip that is drawn far too thick, evenly but for its corners, comes out without a step beside them."""
    sign = -1.0 if rows is lm.UPPER_LIP_ROWS else 1.0
    shape, outline = face.copy(), list(rows[0])
    shape[outline[1:-1], 1] += 0.2 * sign
    result = with_lips_of(shape, face)
    held = sign * (result[outline, 1] - face[outline, 1])
    assert held[2] < 0.1
    assert held[1] < held[2] + 0.07
    assert held[-2] < held[-3] + 0.07
    np.testing.assert_array_equal(result[[outline[0], outline[-1]]], shape[[outline[0], outline[-1]]])


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_lids_stand_at_the_given_share(face: np.ndarray, share: float) -> None:
    shape = with_lids(face, face, np.array([share, 1.0]))
    for eye, expected in ((0, share), (1, 1.0)):
        upper, lower = list(lm.UPPER_LIDS[eye][1:-1]), list(lm.LOWER_LIDS[eye][1:-1])
        np.testing.assert_allclose(shape[upper] - shape[lower], expected * (face[upper] - face[lower]), atol=1e-12)


def test_crossing_lips_meet_half_way(face: np.ndarray) -> None:
    shape = face.copy()
    shape[UPPER[1:-1], 1] += 0.02
    met = with_lips_apart(shape)
    np.testing.assert_allclose(met[UPPER[1:-1], 1], face[UPPER[1:-1], 1] + 0.01)
    np.testing.assert_allclose(met[LOWER[1:-1], 1], met[UPPER[1:-1], 1])
