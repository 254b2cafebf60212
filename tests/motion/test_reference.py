"""The reference frame: chosen automatically, the first, or by number; one for each shot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.transfer import Transfer

from .conftest import IDENTITY, STILL, Pose, motion_of, with_eyes, with_gaze, with_mouth

Posed = Callable[..., list[np.ndarray]]


def references(
    faces: list[np.ndarray | None], source: np.ndarray, choice: str = "auto", **options: object
) -> list[int]:
    motion = motion_of(faces, options.pop("cuts", ()))
    return Transfer(motion, source, MotionConfig(reference_frame=choice, **options), IDENTITY).references


@pytest.fixture
def restless(posed: Posed, frontal: np.ndarray) -> Callable[[int, int], list[np.ndarray]]:
    """`restless(count, at)`: a driver who turns, talks, blinks and looks aside, neutral around `at`."""

    def make(count: int, at: int) -> list[np.ndarray]:
        faces, poses = [], []
        for n in range(count):
            calm = abs(n - at) <= 4
            busy = with_gaze(with_eyes(with_mouth(frontal, 0.15), 0.6 + 0.4 * (n % 2)), 0.12)
            faces.append(frontal if calm else busy)
            poses.append(STILL if calm else Pose(yaw_deg=20.0 if n < at else -25.0, roll_deg=6.0))
        return posed(poses, faces)

    return make


@pytest.mark.parametrize("at", [6, 20, 33])
def test_the_neutral_frame_is_found(
    restless: Callable[[int, int], list[np.ndarray]], at: int, frontal: np.ndarray
) -> None:
    (found,) = references(restless(40, at), frontal)
    assert abs(found - at) <= 4


@pytest.mark.parametrize("spoiled", ["open mouth", "closed eyes", "turned", "tilted", "looking aside"])
def test_each_flaw_alone_is_avoided(posed: Posed, frontal: np.ndarray, spoiled: str) -> None:
    face, pose = {
        "open mouth": (with_mouth(frontal, 0.3), STILL),
        "closed eyes": (with_eyes(frontal, 0.0), STILL),
        "turned": (frontal, Pose(yaw_deg=35)),
        "tilted": (frontal, Pose(roll_deg=30)),
        "looking aside": (with_gaze(frontal, 0.25), STILL),
    }[spoiled]
    faces = [face] * 8 + [frontal] * 12
    poses = [pose] * 8 + [STILL] * 12
    (found,) = references(posed(poses, faces), frontal)
    assert found >= 8


def test_missing_frames_are_not_chosen(posed: Posed, frontal: np.ndarray) -> None:
    """Between two turned heads the interpolated one would be frontal."""
    turned = [Pose(yaw_deg=-20)] * 8, [Pose(yaw_deg=20)] * 8
    (found,) = references([*posed(turned[0]), *[None] * 7, *posed(turned[1])], frontal)
    assert not 8 <= found < 15


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_first_and_number(posed: Posed, frontal: np.ndarray, mode: str) -> None:
    faces = posed([Pose(yaw_deg=2.0 * n) for n in range(10)])
    assert references(faces, frontal, "first", mode=mode) == [0]
    for number in (0, 4, 9):
        assert references(faces, frontal, str(number), mode=mode) == [number]


@pytest.mark.parametrize("choice", ["10", "999", "-1", "1.5", "last", "", "0x1"])
def test_bad_numbers(posed: Posed, frontal: np.ndarray, choice: str) -> None:
    with pytest.raises(
        UsageError, match=r"--reference-frame .*auto, first, or a number from 0 to 9"
    ) as error:
        references(posed([STILL] * 10), frontal, choice)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_each_shot_has_its_own(
    restless: Callable[[int, int], list[np.ndarray]], frontal: np.ndarray, mode: str
) -> None:
    faces = restless(20, 6) + restless(20, 12)
    auto = references(faces, frontal, cuts=[20], mode=mode)
    assert 0 <= auto[0] < 20 <= auto[1] < 40
    assert references(faces, frontal, "first", cuts=[20], mode=mode) == [0, 20]
    assert references(faces, frontal, "25", cuts=[20], mode=mode) == [auto[0], 25]
    if mode == "relative":
        assert abs(auto[0] - 6) <= 4
        assert abs(auto[1] - 32) <= 4


def test_absolute_looks_for_the_sources_own_expression(posed: Posed, frontal: np.ndarray) -> None:
    opened = with_mouth(frontal, 0.3)
    faces = [frontal] * 12 + [opened] * 12
    assert references(posed([STILL] * 24, faces), opened, mode="absolute")[0] >= 12
    assert references(posed([STILL] * 24, faces), frontal, mode="absolute")[0] < 12
