"""Blending, plates and foreground colours on values known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.background.composite import composite, foreground_colors, to_rgba, with_rim
from avatarkit.background.inpaint import OpenCVInpainter
from avatarkit.background.plate import make_plate
from avatarkit.errors import InputError, UsageError

Array = NDArray[np.float32]


def test_composite_exact_values() -> None:
    foreground = np.array([[[200, 0, 255], [200, 0, 255], [200, 0, 255]]], np.uint8)
    background = np.array([[[100, 50, 5], [100, 50, 5], [100, 50, 5]]], np.uint8)
    alpha = np.array([[0, 0.25, 1]], np.float32)
    out = composite(foreground, alpha, background)
    assert out[0, 0].tolist() == [100, 50, 5]
    assert out[0, 2].tolist() == [200, 0, 255]
    assert np.abs(out[0, 1] - np.array([125, 37.5, 67.5])).max() <= 0.51


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_composite_rounds_within_one_level(kind: type) -> None:
    rng = np.random.default_rng(5)
    foreground, background = rng.integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    levels = rng.integers(0, 256, (64, 48), dtype=np.uint8)
    levels[:8], levels[8:16] = 0, 255
    share = levels[..., None] / 255
    alpha = levels if kind is np.uint8 else (levels / 255).astype(np.float32)
    out = composite(foreground, alpha, background)
    assert np.abs(out - (share * foreground + (1 - share) * background)).max() <= 1
    assert np.array_equal(out[:8], background[:8])
    assert np.array_equal(out[8:16], foreground[8:16])


def test_composite_takes_windows_and_leaves_its_layers_alone() -> None:
    rng = np.random.default_rng(6)
    layers = rng.integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    alpha = rng.random((40, 30), dtype=np.float32)
    window, before = np.s_[5:25, 3:20], layers.copy()
    whole = composite(layers[0], alpha, layers[1])
    assert np.array_equal(composite(layers[0][window], alpha[window], layers[1][window]), whole[window])
    assert np.array_equal(layers, before)


@pytest.mark.parametrize("size", [(600, 24), (201, 37), (24, 325)])
@pytest.mark.parametrize("channels", [3, 4])
def test_composite_mixes_every_pixel(size: tuple[int, int], channels: int) -> None:
    """Sides of paste-back's seams, of frames and of layers."""
    rng = np.random.default_rng(3)
    foreground, background = rng.integers(0, 256, (2, *size, channels), dtype=np.uint8)
    levels = np.broadcast_to(np.linspace(0, 255, size[1]).astype(np.uint8), size)
    share = levels[..., None] / 255.0
    expected = share * foreground + (1.0 - share) * background
    assert np.abs(composite(foreground, levels, background) - expected).max() <= 1.0


def test_composite_rounds_to_the_nearest_level() -> None:
    """All shares of all pairs of levels that are 5 apart: none lies half-way between two levels."""
    near, far, share = (grid.astype(np.uint8) for grid in np.mgrid[0:256:5, 0:256:5, 0:256].reshape(3, 52 * 52, 256))
    mixed = share.astype(int) * near + (255 - share.astype(int)) * far
    foreground, background = (np.repeat(layer[..., None], 3, axis=2) for layer in (near, far))
    expected = np.repeat((mixed[..., None] + 127) // 255, 3, axis=2)
    np.testing.assert_array_equal(composite(foreground, share, background), expected)


def test_frames_of_any_layout_are_composited() -> None:
    rng = np.random.default_rng(3)
    foreground, background = rng.integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    levels = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    expected = composite(foreground, levels, background)
    planes = np.ascontiguousarray(foreground.transpose(2, 0, 1)).transpose(1, 2, 0)
    fixed = np.frombuffer(foreground.tobytes(), np.uint8).reshape(foreground.shape)
    for picture in (planes, fixed):
        assert np.array_equal(composite(picture, levels, background, in_place=True), expected)
        assert np.array_equal(picture, foreground)


@pytest.mark.parametrize("rim", [0.02, 0.5])
def test_composite_in_place_is_the_same(rim: float) -> None:
    """Higher than one band, with little to mix and with much, in a picture of its own and in a part of a larger one."""
    rng = np.random.default_rng(7)
    foreground, background = rng.integers(0, 256, (2, 600, 90, 3), dtype=np.uint8)
    levels = rng.choice(np.array([0, 255], np.uint8), (600, 90))
    levels[rng.random(levels.shape) < rim] = 100
    expected = composite(foreground, levels, background)
    larger = np.zeros((610, 100, 3), np.uint8)
    larger[5:605, 5:95] = foreground
    part = larger[5:605, 5:95]
    assert composite(part, levels, background, in_place=True) is part
    assert np.array_equal(part, expected)
    assert composite(foreground, levels, background, in_place=True) is foreground
    assert np.array_equal(foreground, expected)


@pytest.mark.parametrize("alpha", [np.array([[0, 51]], np.uint8), np.array([[0, 0.2]], np.float32)])
def test_to_rgba_keeps_colors_and_scales_alpha(alpha: NDArray[np.uint8]) -> None:
    rgba = to_rgba(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), alpha)
    assert rgba.tolist() == [[[1, 2, 3, 0], [4, 5, 6, 51]]]


def soft_disc(size: int, radius: float, softness: float) -> Array:
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size / 2, y - size / 2)
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("size", [200, 1400])
def test_foreground_colors_are_recovered_from_the_mix(size: int) -> None:
    alpha = soft_disc(size, 0.3 * size, 0.1 * size)
    ramp = np.linspace(0, 1, size)[:, None, None]
    foreground = (1 - ramp) * [180, 60, 40] + ramp * [140, 90, 70] + np.zeros((size, size, 1))
    mixed = alpha[..., None] * foreground + (1 - alpha[..., None]) * [20, 160, 230]
    out = foreground_colors(np.rint(mixed).astype(np.uint8), alpha)
    assert out.dtype == np.uint8
    error = np.abs(out - foreground).max(2)
    assert error[alpha > 0.2].max() < 6
    assert error[alpha > 0.2].mean() < 1.5
    assert error[alpha <= 0.2].mean() < 12
    opaque = alpha >= 0.996
    assert np.array_equal(out[opaque], np.rint(mixed).astype(np.uint8)[opaque])


def test_foreground_colors_without_foreground_or_background() -> None:
    image = np.full((30, 30, 3), 77, np.uint8)
    assert np.array_equal(foreground_colors(image, np.ones((30, 30), np.float32)), image)
    assert foreground_colors(image, np.zeros((30, 30), np.float32)).shape == image.shape


def test_warped_edge_shows_no_background() -> None:
    alpha = soft_disc(128, 40, 3)
    mixed = alpha[..., None] * [200, 30, 30] + (1 - alpha[..., None]) * [0, 255, 0]
    colors = foreground_colors(np.rint(mixed).astype(np.uint8), alpha)
    moved = cv2.resize(colors, (301, 301), interpolation=cv2.INTER_LINEAR)
    assert moved[..., 1][cv2.resize(alpha, (301, 301)) > 0.01].max() < 60


def test_plate_hides_the_head_and_its_rim() -> None:
    alpha = soft_disc(160, 45, 4)
    image = np.rint(alpha[..., None] * 20 + (1 - alpha[..., None]) * 210).astype(np.uint8)
    image = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    plate = make_plate(image, alpha, OpenCVInpainter(), 3)
    assert np.abs(plate.astype(int) - 210).max() <= 2
    far = cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    assert np.array_equal(plate[far], image[far])


class HoleRecorder:
    """An inpainter that only remembers what it was asked to fill."""

    name = "recorder"

    def inpaint(self, image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        self.hole = hole
        return image_rgb


@pytest.mark.parametrize(("dilate_px", "expected"), [(0, 1), (1, 5), (2, 13 + 8)])
def test_plate_hole_is_the_grown_matte(dilate_px: int, expected: int) -> None:
    alpha = np.zeros((11, 11), np.float32)
    alpha[5, 5] = 0.1
    recorder = HoleRecorder()
    make_plate(np.zeros((11, 11, 3), np.uint8), alpha, recorder, dilate_px)
    assert recorder.hole.dtype == bool
    assert recorder.hole[5, 5 - dilate_px : 6 + dilate_px].all()
    assert recorder.hole[5].sum() == 2 * dilate_px + 1
    assert recorder.hole.sum() <= expected


@pytest.mark.parametrize("plain", [True, False])
def test_plate_drops_strands_over_plain_ground_alone(plain: bool) -> None:
    """A thin dark line just outside of the matte goes where the wall is even, and stays where it is not."""
    alpha = soft_disc(256, 60, 3)
    noise = 0.5 if plain else 25.0
    image = np.clip(190 + np.random.default_rng(3).normal(0, noise, (256, 256, 3)), 0, 255).astype(np.uint8)
    image[100:140, 199:201] = 40
    plate = make_plate(image, alpha, OpenCVInpainter(), 2)
    darkest = plate[102:138, 196:204].min()
    assert darkest > 170 if plain else darkest == 40


def test_plate_runs_into_the_picture_without_a_cut() -> None:
    class Black(HoleRecorder):
        def inpaint(self, image_rgb: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
            return np.where(hole[..., None], 0, image_rgb).astype(np.uint8)

    alpha = np.zeros((100, 100), np.float32)
    alpha[40:60, 40:60] = 1.0
    row = make_plate(np.full((100, 100, 3), 200, np.uint8), alpha, Black(), 10)[50, :, 0].astype(int)
    assert np.abs(np.diff(row)).max() <= 30
    assert row[38:62].max() == 0


def test_a_shadow_around_the_head_leaves_no_contour() -> None:
    y, x = np.mgrid[:256, :256] - 127.5
    shadow = np.where(np.hypot(x, y) < 84, 15, 0)[..., None]
    noise = np.random.default_rng(3).normal(0, 0.5, (256, 256, 3))
    image = np.clip(190 - shadow + noise, 0, 255).astype(np.uint8)
    plate = make_plate(image, soft_disc(256, 60, 3), OpenCVInpainter(), 12)
    middle = cv2.GaussianBlur(plate, (0, 0), 1)[np.hypot(x, y) < 80].astype(int)
    assert np.ptp(middle) <= 6


def test_plate_keeps_things_that_stand_behind() -> None:
    """A flag beside the head is no strand, and no shadow either: it stays right up to the hole."""
    alpha = soft_disc(256, 60, 3)
    image = np.clip(190 + np.random.default_rng(3).normal(0, 0.5, (256, 256, 3)), 0, 255).astype(np.uint8)
    image[:, 195:] = (150, 30, 40)
    plate = make_plate(image, alpha, OpenCVInpainter(), 2)
    assert np.abs(plate[:, 197:].astype(int) - image[:, 197:]).max() < 20


def test_a_rim_is_whole_first_and_fades_then() -> None:
    alpha = np.zeros((1, 41), np.float32)
    alpha[0, 20] = 0.5
    grown = with_rim(alpha, 4, 8)[0]
    assert (grown[16:25] == 1).all()
    assert grown[28] == pytest.approx(0.5, abs=0.02)
    assert (grown[:8] == 0).all()
    assert (np.diff(grown[20:]) <= 0).all()


def test_sizes_and_types_are_checked() -> None:
    image, alpha = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), np.float32)
    with pytest.raises(UsageError, match="one size"):
        foreground_colors(image, alpha)
    with pytest.raises(UsageError, match="one size"):
        make_plate(image, alpha, OpenCVInpainter(), 2)
    with pytest.raises(InputError, match="uint8"):
        foreground_colors(image.astype(np.float32), alpha)
