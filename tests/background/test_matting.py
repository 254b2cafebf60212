"""One suite for every matting method, and what the refinement promises."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib import cbook
from numpy.typing import NDArray
from skimage import data

from avatarkit.background.choice import open_matting
from avatarkit.background.grabcut_matting import LandmarkMatting
from avatarkit.background.matte_refine import refine_matte
from avatarkit.background.matting import Matting
from avatarkit.background.mediapipe_matting import MediaPipeMatting
from avatarkit.errors import DependencyError, InputError

from .conftest import needs_multiclass

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def mediapipe() -> MediaPipeMatting:
    try:
        return MediaPipeMatting()
    except DependencyError as error:
        pytest.skip(str(error))


@pytest.fixture
def without_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MediaPipe without its older part. All of it is imported first: what fails half-way spoils the process."""
    pytest.importorskip("mediapipe")
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions", None)


@pytest.fixture(scope="module")
def landmarks() -> LandmarkMatting:
    return LandmarkMatting()


WITH_WEIGHTS = pytest.param("multiclass", marks=needs_multiclass)


@pytest.fixture(scope="module", params=["mediapipe", WITH_WEIGHTS])
def trained_matting(request: pytest.FixtureRequest) -> Matting:
    """Methods that can tell a person here: those whose weights need no download."""
    method: Matting = request.getfixturevalue(request.param)
    return method


@pytest.fixture(scope="module", params=["mediapipe", "modnet", "landmarks", WITH_WEIGHTS])
def matting(request: pytest.FixtureRequest) -> Matting:
    method: Matting = request.getfixturevalue(request.param)
    assert method.name == request.param
    return method


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture(scope="module")
def officer() -> Image:
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        encoded = np.frombuffer(file.read(), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def ellipse(center: tuple[float, float], size: tuple[float, float]) -> NDArray[np.float32]:
    """Stand in for landmarks: points on the face's outline."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = center[0] + size[0] * np.cos(angle), center[1] + size[1] * np.sin(angle)
    return np.stack([x, y, np.zeros_like(x)], 1).astype(np.float32)


ASTRONAUT_FACE = ellipse((222, 122), (40, 55))


@pytest.mark.usefixtures("without_solutions")
def test_newer_mediapipe_has_none_and_the_message_says_what_to_do() -> None:
    with pytest.raises(DependencyError, match="avatarkit weights fetch selfie-multiclass") as caught:
        MediaPipeMatting()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("without_solutions")
def test_auto_ends_with_the_landmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    choice = open_matting()
    assert choice.model.name == "landmarks"
    assert choice.advice is not None
    assert "avatarkit weights fetch selfie-multiclass" in choice.advice


@pytest.mark.parametrize("with_landmarks", [False, True])
def test_finds_person(trained_matting: Matting, astronaut: Image, with_landmarks: bool) -> None:
    alpha = trained_matting.matte(astronaut, ASTRONAUT_FACE if with_landmarks else None)
    assert alpha.shape == astronaut.shape[:2]
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha[70:175, 190:255].min() > (0.99 if with_landmarks else 0.85)
    assert alpha[430:, 100:260].mean() > 0.9
    assert alpha[:120, :90].max() < 0.05
    assert 0.3 < alpha.mean() < 0.7


def test_finds_person_on_other_picture(trained_matting: Matting, officer: Image) -> None:
    alpha = trained_matting.matte(officer)
    assert alpha[180:330, 220:330].min() > 0.75
    assert alpha[180:330, 220:330].mean() > 0.98
    assert alpha[:60, :60].max() < 0.05


def test_same_input_same_matte(matting: Matting, astronaut: Image) -> None:
    first = matting.matte(astronaut, ASTRONAUT_FACE)
    matting.matte(np.ascontiguousarray(astronaut[::-1]))
    assert np.array_equal(first, matting.matte(astronaut, ASTRONAUT_FACE))


def test_large_picture_gets_the_same_matte(matting: Matting, astronaut: Image) -> None:
    large = cv2.resize(astronaut, None, fx=3.5, fy=3.5, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    points = (ASTRONAUT_FACE + 0.5) * 3.5 - 0.5
    alpha = matting.matte(large, points)
    assert alpha.shape == large.shape[:2]
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    small = cv2.resize(alpha, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(small - matting.matte(astronaut, ASTRONAUT_FACE)).mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (64, 48, 3)])
def test_picture_without_person(matting: Matting, shape: tuple[int, int, int]) -> None:
    alpha = matting.matte(np.full(shape, 90, np.uint8))
    assert alpha.shape == shape[:2]
    assert np.isfinite(alpha).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_refuses_other_arrays(matting: Matting, image: Image) -> None:
    with pytest.raises(InputError, match="uint8"):
        matting.matte(image)


def test_face_is_always_foreground(matting: Matting) -> None:
    plain = np.full((200, 200, 3), 128, np.uint8)
    alpha = matting.matte(plain, ellipse((100, 90), (40, 50)))
    y, x = np.mgrid[:200, :200]
    inside = np.hypot((x - 100) / 40, (y - 90) / 50) < 0.97
    assert (alpha[inside] == 1).all()


def disc_picture() -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
    """Return a dark disc on a light ground with a soft rim, its matte, and a rough guess of it."""
    y, x = np.mgrid[:300, :300].astype(np.float32)
    distance = np.hypot(x - 150, y - 150)
    alpha = np.clip((92 - distance) / 4, 0, 1).astype(np.float32)
    mixed = alpha[..., None] * [60, 40, 30] + (1 - alpha[..., None]) * [200, 205, 210]
    image = np.rint(mixed).astype(np.uint8)
    rough = cv2.GaussianBlur((np.hypot(x - 153, y - 148) < 89).astype(np.float32), (0, 0), 3)
    return image, alpha, np.asarray(rough, np.float32)


def test_refinement_snaps_to_the_true_edge() -> None:
    image, alpha, rough = disc_picture()
    refined = refine_matte(image, rough, ellipse((150, 150), (50, 60)))
    assert np.abs(refined - alpha).mean() < 0.2 * np.abs(rough - alpha).mean()
    assert np.abs(refined - alpha).max() < 0.3


def test_refinement_fills_holes_over_the_face() -> None:
    """A hole above the face is filled even where it reaches the outline; the same hole beside the face is not."""
    image, _, rough = disc_picture()
    image[70:100, 125:175] = image[140:160, 215:245].mean((0, 1)).astype(np.uint8)
    rough[75:95, 130:170] = 0
    refined = refine_matte(image, rough, ellipse((150, 165), (50, 60)))
    assert refined[75:95, 130:170].min() > 0.99


def test_refinement_drops_islands_and_fills_holes() -> None:
    image, _, rough = disc_picture()
    rough[10:40, 10:40] = 1
    rough[190:196, 140:146] = 0
    image[190:196, 140:146] = 230
    refined = refine_matte(image, rough, ellipse((150, 130), (40, 50)))
    assert refined[:50, :50].max() == 0
    assert refined[188:198, 138:148].min() > 0.99
