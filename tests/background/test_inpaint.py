"""One suite for every inpainter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from avatarkit.background.inpaint import Inpainter, OpenCVInpainter, _calmer
from avatarkit.background.membrane import fill_smooth
from avatarkit.errors import InputError, UsageError

Image = NDArray[np.uint8]
Hole = NDArray[np.bool_]


@pytest.fixture(scope="module")
def opencv() -> OpenCVInpainter:
    return OpenCVInpainter()


@pytest.fixture(scope="module", params=["opencv"])
def able_inpainter(request: pytest.FixtureRequest) -> Inpainter:
    """Methods that can continue a picture here: those whose weights need no download."""
    method: Inpainter = request.getfixturevalue(request.param)
    return method


@pytest.fixture(scope="module", params=["opencv", "lama"])
def inpainter(request: pytest.FixtureRequest) -> Inpainter:
    method: Inpainter = request.getfixturevalue(request.param)
    assert method.name == request.param
    return method


def portrait_hole(size: int) -> Hole:
    """Half of the picture: a head and a body that reaches the lower border."""
    y, x = np.mgrid[:size, :size] / size
    head = np.hypot(x - 0.5, (y - 0.45) * 0.8) < 0.28
    return np.asarray(head | ((y > 0.65) & (np.abs(x - 0.5) < 0.4)))


@pytest.mark.parametrize("size", [64, 301])
def test_only_the_hole_changes(inpainter: Inpainter, size: int) -> None:
    image = np.asarray(data.astronaut()[:size, :size], np.uint8)
    before, hole = image.copy(), portrait_hole(size)
    out = inpainter.inpaint(image, hole)
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(out[~hole], image[~hole])
    assert (out[hole] != image[hole]).mean() > 0.5
    assert np.array_equal(out, inpainter.inpaint(image, hole))


def test_large_picture_keeps_its_known_pixels(inpainter: Inpainter) -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 2200, 3), dtype=np.uint8)
    hole = np.zeros((400, 2200), bool)
    hole[100:, 900:1300] = True
    out = inpainter.inpaint(image, hole)
    assert np.array_equal(out[~hole], image[~hole])
    assert abs(float(out[hole].mean()) - 127) < 12


@pytest.mark.parametrize("color", [(0, 0, 0), (17, 130, 201), (255, 255, 255)])
def test_constant_picture_stays_constant(inpainter: Inpainter, color: tuple[int, int, int]) -> None:
    image = np.full((120, 90, 3), color, np.uint8)
    hole = np.zeros((120, 90), bool)
    hole[30:, 20:70] = True
    assert np.array_equal(inpainter.inpaint(image, hole), image)


def test_linear_gradient_is_continued(able_inpainter: Inpainter) -> None:
    y, x = np.mgrid[:256, :256]
    planes = [60 + 0.5 * x, 200 - 0.4 * y, 90 + 0.2 * x + 0.2 * y]
    image = np.rint(np.stack(planes, 2)).astype(np.uint8)
    out = able_inpainter.inpaint(image, portrait_hole(256))
    assert np.abs(out.astype(int) - image).max() <= 3


def test_grain_goes_on_without_a_seam(able_inpainter: Inpainter) -> None:
    grain = np.random.default_rng(1).normal(0, 4, (256, 256, 3))
    image = np.clip(np.rint(150 + grain), 0, 255).astype(np.uint8)
    hole = portrait_hole(256)
    out = able_inpainter.inpaint(image, hole).astype(float)
    assert abs(out[hole].mean() - 150) < 1.5
    assert 1.0 < out[hole].std() < 5.5


def test_nothing_to_fill_and_nothing_known(inpainter: Inpainter) -> None:
    image = np.full((20, 20, 3), 40, np.uint8)
    assert np.array_equal(inpainter.inpaint(image, np.zeros((20, 20), bool)), image)
    assert inpainter.inpaint(image, np.ones((20, 20), bool)).shape == image.shape


@pytest.mark.parametrize("known", [(0, 0), (7, 3)])
def test_one_known_pixel_is_enough(inpainter: Inpainter, known: tuple[int, int]) -> None:
    image = np.full((9, 9, 3), 40, np.uint8)
    hole = np.ones((9, 9), bool)
    hole[known] = False
    assert np.array_equal(inpainter.inpaint(image, hole), image)


def test_refuses_wrong_input(inpainter: Inpainter) -> None:
    with pytest.raises(InputError, match="uint8"):
        inpainter.inpaint(np.zeros((4, 4), np.uint8), np.zeros((4, 4), bool))
    with pytest.raises(UsageError, match="one size"):
        inpainter.inpaint(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), bool))


def test_membrane_of_a_plane_inside_a_frame_is_the_plane() -> None:
    y, x = np.mgrid[:65, :65].astype(np.float32)
    plane = np.dstack([x, 2 * y, x + y])
    known = np.ones((65, 65), np.float32)
    known[8:-8, 8:-8] = 0
    np.testing.assert_allclose(fill_smooth(plane * known[..., None], known), plane, atol=2.0)


def loudness(picture: NDArray[np.uint8], hole: NDArray[np.bool_], low: float, high: float) -> float:
    """Standard deviation of the filling so far from the rim, in shares of the picture's side."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5) / max(hole.shape)
    return float(picture[(depth > low) & (depth < high)].astype(np.float32).std(0).mean())


def test_lines_that_cannot_meet_fade_into_the_hole(opencv: OpenCVInpainter) -> None:
    tiles = np.full((256, 256, 3), 200, np.uint8)
    tiles[::16] = tiles[1::16] = tiles[:, ::16] = tiles[:, 1::16] = 60
    hole = portrait_hole(256)
    filled = opencv.inpaint(tiles, hole)
    assert loudness(filled, hole, 0.0, 0.01) > 35.0  # as in the picture: nothing is cut off at the rim
    assert loudness(filled, hole, 0.07, 0.1) < 18.0


def test_quiet_texture_goes_on() -> None:
    detail = np.random.default_rng(1).normal(0.0, 5.0, (64, 64, 3)).astype(np.float32)
    hole = np.ones((64, 64), bool)
    calm = _calmer(detail, hole, np.full((64, 64), 0.1, np.float32))
    np.testing.assert_allclose(calm, detail)
    assert _calmer(8.0 * detail, hole, np.full((64, 64), 0.1, np.float32)).std() < 13.0
