"""Patches: where they lie, and what is cut out of a picture."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.systems.protocol import SourceLayers
from avatarkit.systems.refined_warp.guides import guide
from avatarkit.systems.refined_warp.patches import NAMES, Patch, patches

from ..conftest import Move


def test_a_patch_of_whole_pixels_is_a_copy() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    patch = Patch.of(np.array([19.5, 11.5]), (20.0, 16.0), 0.0)
    np.testing.assert_array_equal(patch.cut(picture, (20, 16)), picture[4:20, 10:30])


def test_a_mirrored_patch_is_the_mirror_image() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    plain, mirrored = (Patch.of(np.array([19.5, 11.5]), (20.0, 16.0), 0.0, mirrored=flag) for flag in (False, True))
    np.testing.assert_array_equal(mirrored.cut(picture, (20, 16)), plain.cut(picture, (20, 16))[:, ::-1])


def test_a_reduced_patch_sees_every_pixel() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[::2] = 200
    patch = Patch.of(np.array([63.5, 63.5]), (128.0, 128.0), 0.0)
    small = patch.cut(picture, (32, 32))[2:-2, 2:-2]
    assert small.min() >= 95
    assert small.max() <= 105


@pytest.mark.parametrize(("place", "side"), [((170.0, 150.0), 260.0), ((171.3, 149.6), 251.0), ((80.0, 60.0), 255.0)])
def test_what_is_reduced_far_stays_in_its_place(place: tuple[float, float], side: float) -> None:
    """Slopes either way show where each pixel was taken from, whichever way levels are rounded."""
    rising = np.repeat(np.round(np.arange(333) / 1.5)[None], 301, axis=0).astype(np.uint8)
    patch = Patch.of(np.array(place), (side, side), 0.0)
    cut, other = (patch.cut(picture, (48, 48)).astype(float) for picture in (rising, 255 - rising))
    x = place[0] + side * ((np.arange(48) + 0.5) / 48 - 0.5)
    inside = (x > 8) & (x < 324)
    assert inside.sum() > 30
    found = 1.5 * (cut + 255.0 - other)[:, inside] / 2.0
    assert abs(float((found - x[inside]).mean())) < 0.15
    assert np.abs(found - x[inside]).max() < 1.5


def test_local_undoes_the_matrix() -> None:
    patch = Patch.of(np.array([30.0, 20.0]), (18.0, 10.0), 0.3, mirrored=True)
    local = np.array([[-1.0, 1.0], [0.25, -0.5]])
    pixels = local @ patch.matrix[:, :2].T + patch.matrix[:, 2]
    np.testing.assert_allclose(patch.local(pixels), local, atol=1e-12)


def test_patches_follow_the_head(source: SourceLayers, move: Move) -> None:
    still, moved = (patches(frame.landmarks, frame.pose) for frame in (move(), move(dx=7.0, roll_deg=20.0, scale=1.3)))
    for one, other in zip(still, moved, strict=True):
        assert other.width_px == pytest.approx(1.3 * one.width_px)
        turn = np.degrees(np.arctan2(*(other.matrix[::-1, 0]))) - np.degrees(np.arctan2(*(one.matrix[::-1, 0])))
        assert (turn + 180.0) % 360.0 - 180.0 == pytest.approx(20.0, abs=0.5)


def test_guides_show_openings(source: SourceLayers, move: Move) -> None:
    alpha = np.full((256, 256), 255, np.uint8)
    for options, grows in (({"mouth": 0.2}, "mouth"), ({"lids": 0.2}, "right_eye")):
        shares = []
        for frame in (move(), move(**options)):
            patch = patches(frame.landmarks, frame.pose)[NAMES.index(grows)]
            shares.append(guide(grows, patch, frame.landmarks, alpha, (64, 64))[..., 0].mean())
        assert shares[1] > 1.5 * shares[0] if grows == "mouth" else shares[1] < 0.5 * shares[0]
