"""The driver's squares: the very pictures that datasets store, wherever the head is in its frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.data.pictures import encode_image
from avatarkit.errors import InputError
from avatarkit.face.sequence import TrackedFrame
from avatarkit.face.types import face_from_landmarks
from avatarkit.head.crops import HeadCropper
from avatarkit.head.square import portrait_square, square_of
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.extract import DriverInfo, extract
from avatarkit.motion.square_transfer import SquareTransfer
from avatarkit.motion.squares import Squares

SIZE = 64
Shot = list[tuple[np.ndarray, TrackedFrame]]


def shot(hopper: np.ndarray, landmarks: np.ndarray, count: int = 30, gap: range = range(0)) -> Shot:
    """The portrait sliding to the right by 2 px a frame; without a face in `gap`."""
    frames = []
    for index in range(count):
        picture = np.roll(hopper, 2 * index, axis=1)
        points = (landmarks + np.array([2.0 * index, 0.0, 0.0])).astype(np.float32)
        frames.append((picture, TrackedFrame(None if index in gap else points, False)))
    return frames


def watched(frames: Shot, rate: Fraction = Fraction(25)) -> Squares:
    squares = Squares(SIZE, rate)
    assert len(list(squares.watch(iter(frames)))) == len(frames)
    return squares


def test_they_are_what_a_dataset_stores(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    frames = shot(grace_hopper, hopper_landmarks)
    squares, cropper = watched(frames), HeadCropper(SIZE)
    crops = []
    for number, (picture, tracked) in enumerate(frames):
        assert tracked.landmarks is not None
        crops += cropper.push(number, picture, face_from_landmarks(tracked.landmarks, 1.0))
    crops += cropper.flush()
    for index, cropped in enumerate(crops):
        assert squares.stored(index) == encode_image(cropped.picture)
        wanted, found = square_of(cropped), squares[index]
        np.testing.assert_array_equal(found.landmarks, wanted.landmarks)
        np.testing.assert_array_equal(found.head, wanted.head)
        assert found.index == index
        np.testing.assert_allclose(squares.pose(index).translation, wanted.translation_px, atol=1e-6)


def test_kept_squares_are_the_same(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, tmp_path: Path) -> None:
    squares = watched(shot(grace_hopper, hopper_landmarks, 6, range(2, 4)))
    squares.write(tmp_path)
    kept = Squares.read(tmp_path, Fraction(25), squares.size)
    for index in range(6):
        assert (index in kept) == (index in squares)
        if index in squares:
            assert kept.stored(index) == squares.stored(index)
            np.testing.assert_array_equal(kept[index].landmarks, squares[index].landmarks)


@pytest.mark.parametrize("how", ["cut off", "nan", "size", "whole numbers", "places"])
def test_kept_squares_that_cannot_be(
    grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, tmp_path: Path, how: str
) -> None:
    squares = watched(shot(grace_hopper, hopper_landmarks, 6))
    squares.write(tmp_path)
    data, about = tmp_path / "squares.bin", json.loads((tmp_path / "squares.json").read_text())
    if how == "cut off":
        data.write_bytes(data.read_bytes()[:-1])
    elif how == "nan":
        data.write_bytes(b"\xff" * 400 + data.read_bytes()[400:])
    elif how == "size":
        about["size"] = 1 << 40
    else:
        about["places"] = [[0, True, 9]] if how == "whole numbers" else [[0, -5, 1 << 40], 3]
    (tmp_path / "squares.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"squares\.bin: is (damaged|not what)"):
        Squares.read(tmp_path, Fraction(25), squares.size)


def test_smoothing_goes_by_time(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    """At twice the rate every other frame has the square that it has at 25 frames a second, or nearly."""
    slow = watched(shot(grace_hopper, hopper_landmarks, 12))
    doubled: Shot = [frame for frame in shot(grace_hopper, hopper_landmarks, 12) for _ in range(2)]
    fast = watched(doubled, Fraction(50))
    for index in range(3, 9):
        np.testing.assert_allclose(fast[2 * index].head, slow[index].head, atol=0.02)


def test_a_gap_is_bridged_by_both_its_ends(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    squares = watched(shot(grace_hopper, hopper_landmarks, 20, range(6, 10)))
    assert 6 not in squares
    assert squares.around(5, (0, 20)) == ((5, 1.0),)
    assert squares.around(6, (0, 20)) == ((5, 0.8), (10, pytest.approx(0.2)))
    assert squares.around(6, (6, 20)) == ((10, 1.0),)
    assert squares.around(7, (6, 10)) == ()


def test_a_cut_begins_anew(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    first, second = shot(grace_hopper, hopper_landmarks, 8), shot(grace_hopper, hopper_landmarks, 8)

    def joined() -> Iterator[tuple[np.ndarray, TrackedFrame]]:
        yield from first
        yield second[0][0], TrackedFrame(second[0][1].landmarks, True)
        yield from second[1:]

    squares = Squares(SIZE, Fraction(25))
    list(squares.watch(joined()))
    for index in range(8):
        assert squares.stored(index) == squares.stored(index + 8)


def test_a_portrait_is_cut_as_a_video_of_one_frame(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    square = portrait_square(grace_hopper, hopper_landmarks, SIZE)
    (frame,) = shot(grace_hopper, hopper_landmarks, 1)
    assert encode_image(square.picture) == watched([frame]).stored(0)
    # The landmarks lie in the square as in the picture.
    size = float(np.ptp(square.landmarks[:, 0]) / np.ptp(hopper_landmarks[:, 0]))
    moved = hopper_landmarks - hopper_landmarks[0]
    np.testing.assert_allclose(size * moved, square.landmarks - square.landmarks[0], atol=1e-3)


def test_absolute_motion_says_whose_pose_it_gives(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    """The nearest in a gap; relative motion moves the source's own head."""
    frames = shot(grace_hopper, hopper_landmarks, 20, range(6, 10))
    squares = watched(frames)
    motion = extract((tracked for _, tracked in frames), DriverInfo("d", Fraction(25), 512, 600, "t"), "hold")
    source = portrait_square(grace_hopper, hopper_landmarks, SIZE)
    for mode, region, wanted in (
        ("absolute", "all", [0, 5, 10]),
        ("absolute", "pose", [0, 5, 10]),
        ("absolute", "expression", [None] * 3),
        ("relative", "all", [None] * 3),
    ):
        transfer = SquareTransfer(motion, source, MotionConfig(mode=mode, region=region), squares)
        given = [transfer.frame(index).posed for index in (0, 7, 8)]
        assert [square and square.index for square in given] == wanted
