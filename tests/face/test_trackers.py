"""One suite for all face trackers; add an implementation to TRACKERS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import cv2
import numpy as np
import pytest
from skimage import data

from avatarkit.errors import DependencyError
from avatarkit.face.mediapipe_tasks import MediaPipeTasksTracker
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.face.mediapipe_windows import WindowTracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import LANDMARKS

from .conftest import landmarker_bundle, needs_bundle


def facemesh(teacher: FaceTracker) -> FaceTracker:
    try:
        return MediaPipeTracker()
    except DependencyError as error:
        pytest.skip(str(error))


def tasks(teacher: FaceTracker) -> FaceTracker:
    return MediaPipeTasksTracker(landmarker_bundle())


TRACKERS = [facemesh, pytest.param(tasks, marks=needs_bundle)]


@pytest.fixture(scope="module", params=TRACKERS, ids=lambda make: make.__name__)
def tested(request: pytest.FixtureRequest, tracker: FaceTracker) -> Iterator[FaceTracker]:
    with closing(request.param(tracker)) as made:
        yield made


@pytest.fixture(params=["astronaut", "grace_hopper"])
def photo(request: pytest.FixtureRequest) -> np.ndarray:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def pair(astronaut: np.ndarray, grace_hopper: np.ndarray) -> np.ndarray:
    """Both photos next to each other, (600, 1024, 3)."""
    picture = np.full((600, 1024, 3), 128, np.uint8)
    picture[:512, :512] = astronaut
    picture[:, 512:] = grace_hopper
    return picture


def test_name_holds_a_version(tested: FaceTracker) -> None:
    assert any(character.isdigit() for character in tested.name)


def test_shape_of_a_face(tested: FaceTracker, photo: np.ndarray) -> None:
    (face,) = tested.detect(photo)
    assert face.landmarks.shape == (LANDMARKS, 3)
    assert face.landmarks.dtype == np.float32
    assert np.isfinite(face.landmarks).all()
    assert 0.5 <= face.score <= 1.0
    left, top, right, bottom = face.box
    assert 0 <= left < right < photo.shape[1]
    assert 0 <= top < bottom < photo.shape[0]
    assert face.extent_px == max(right - left, bottom - top)
    mesh = face.landmarks[:468, :2]
    np.testing.assert_allclose((left, top), mesh.min(0))
    np.testing.assert_allclose((right, bottom), mesh.max(0))


# Places read off the photo by eye: irises, the middle of the closed mouth, mouth corners.
PLACES = ((468, (222, 189)), (473, (306, 186)), (13, (266, 276)), (61, (227, 281)), (291, (308, 279)))


def test_landmarks_lie_where_they_should(tested: FaceTracker, grace_hopper: np.ndarray) -> None:
    (face,) = tested.detect(grace_hopper)
    for index, place in PLACES:
        assert np.hypot(*(face.landmarks[index, :2] - place)) < 0.04 * 189, index
    # Away from the camera is positive: the nose is in front of the ears.
    assert face.landmarks[4, 2] < face.landmarks[[234, 454], 2].min()


def test_same_picture_same_answer(tested: FaceTracker, photo: np.ndarray, pair: np.ndarray) -> None:
    before = tested.detect(photo)
    tested.detect(pair)
    after = tested.detect(photo)
    np.testing.assert_array_equal(before[0].landmarks, after[0].landmarks)
    assert before[0].score == after[0].score


def test_shifted_picture_shifts_landmarks(tested: FaceTracker, photo: np.ndarray) -> None:
    (face,) = tested.detect(photo)
    shifted = np.pad(photo, ((60, 0), (100, 0), (0, 0)), mode="edge")
    (moved,) = tested.detect(shifted)
    difference = moved.landmarks[:, :2] - face.landmarks[:, :2]
    np.testing.assert_allclose(difference.mean(0), (100, 60), atol=0.01 * face.extent_px)
    assert np.abs(difference - (100, 60)).max() < 0.04 * face.extent_px


def test_scaled_picture_scales_landmarks(tested: FaceTracker, photo: np.ndarray) -> None:
    (face,) = tested.detect(photo)
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    (half,) = tested.detect(small)
    difference = (half.landmarks[:, :2] + 0.5) * 2.0 - 0.5 - face.landmarks[:, :2]
    assert np.abs(difference.mean(0)).max() < 0.01 * face.extent_px
    assert np.abs(difference).max() < 0.05 * face.extent_px
    depth = np.ptp(half.landmarks[:, 2]) / np.ptp(face.landmarks[:, 2])
    assert depth == pytest.approx(0.5, rel=0.1)


def test_faces_from_left_to_right(tested: FaceTracker, pair: np.ndarray) -> None:
    for picture in (pair, np.ascontiguousarray(pair[:, ::-1])):
        faces = tested.detect(picture)
        assert len(faces) == 2
        assert faces[0].box[2] < faces[1].box[0]


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_small_face_in_a_wide_shot(
    tested: FaceTracker, grace_hopper: np.ndarray, corner: tuple[int, int]
) -> None:
    """A face of a thirtieth of the picture's width."""
    small = cv2.resize(grace_hopper, None, fx=0.38, fy=0.38, interpolation=cv2.INTER_AREA)
    picture = cv2.resize(data.coffee(), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    rows, columns = small.shape[:2]
    top, left = corner[0] * (1080 - rows), corner[1] * (1920 - columns)
    picture[top : top + rows, left : left + columns] = small
    (face,) = tested.detect(picture)
    assert np.hypot(*np.subtract(face.centre, (left + 0.38 * 265, top + 0.38 * 228))) < 15
    assert 55 < face.extent_px < 110


def test_small_faces_beside_a_large_one_are_searched_for_as_asked(
    tested: FaceTracker, grace_hopper: np.ndarray
) -> None:
    picture = np.full((1500, 2400, 3), 100, np.uint8)
    large = cv2.resize(grace_hopper, None, fx=2.4, fy=2.4, interpolation=cv2.INTER_CUBIC)
    picture[: large.shape[0], : large.shape[1]] = large
    small = cv2.resize(grace_hopper, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    picture[900 : 900 + small.shape[0], 2000 : 2000 + small.shape[1]] = small
    assert len(tested.detect(picture)) == 2
    if isinstance(tested, WindowTracker):
        assert len(tested.detect(picture, beside=0.5)) == 1
        assert len(tested.detect(picture, least_px=400)) == 1


@pytest.mark.parametrize("kind", ["noise", "flat", "coffee", "tiny"])
def test_no_face(tested: FaceTracker, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    flat = np.full((240, 320, 3), 90, np.uint8)
    pictures = {"noise": noise, "flat": flat, "coffee": data.coffee(), "tiny": noise[:8, :8].copy()}
    assert tested.detect(pictures[kind]) == ()


def test_follows_a_moving_face(tested: FaceTracker, photo: np.ndarray) -> None:
    """Forty frames across and back, several times the window within which a face is searched."""
    wide = np.pad(photo, ((40, 40), (200, 200), (0, 0)), mode="edge")
    (first,) = tested.detect(photo)
    shifts = [round(0.5 * 190 * (1 - np.cos(2 * np.pi * n / 40))) for n in range(41)]
    last = first
    for number, shift in enumerate(shifts):
        frame = np.ascontiguousarray(
            wide[40 : 40 + photo.shape[0], 200 - shift : 200 - shift + photo.shape[1]]
        )
        face = tested.follow(frame, last)
        assert face is not None, number
        error = face.landmarks[:, :2].mean(0) - first.landmarks[:, :2].mean(0) - (shift, 0)
        assert np.hypot(*error) < 0.05 * first.extent_px, number
        last = face


def test_follow_says_when_the_face_is_gone(tested: FaceTracker, photo: np.ndarray) -> None:
    (face,) = tested.detect(photo)
    assert tested.follow(photo, face) is not None
    assert tested.follow(np.full_like(photo, 100), face) is None
    again = tested.follow(photo, face)
    assert again is not None
    assert np.hypot(*np.subtract(again.centre, face.centre)) < 0.05 * face.extent_px


def test_follow_does_not_jump_to_another_face(tested: FaceTracker, pair: np.ndarray) -> None:
    _, right = tested.detect(pair)
    left_only = pair.copy()
    left_only[:, 512:] = 128
    assert tested.follow(pair, right) is not None
    assert tested.follow(left_only, right) is None


@pytest.mark.parametrize("more", [{}, {"visibility": 0.5}])
def test_points_are_read_off_a_message_as_one_by_one(more: dict[str, float]) -> None:
    formats = pytest.importorskip("mediapipe.framework.formats.landmark_pb2")
    from avatarkit.face.mediapipe_tracker import _points

    expected = np.random.default_rng(3).normal(size=(LANDMARKS, 3)).astype(np.float32)
    expected[0] = 0.0
    points = [formats.NormalizedLandmark(x=x, y=y, z=z, **more) for x, y, z in expected.tolist()]
    np.testing.assert_array_equal(_points(formats.NormalizedLandmarkList(landmark=points)), expected)
