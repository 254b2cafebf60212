"""Displacement grids: unfolding, inversion, sampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit.systems.landmark_warp.grid import Lattice, determinant, invert, jacobian, without_folds
from avatarkit.systems.landmark_warp.openings import Region

LATTICE = Lattice.over(256, 192, (30.0, 30.0, 30.0, 30.0))
SHOWN = LATTICE.nodes()[LATTICE.shown]


def smooth_field(seed: int, strength: float, blur: float = 10.0) -> np.ndarray:
    """A random displacement (rows, columns, 2) whose steepest gradient is `strength`."""
    noise = np.random.default_rng(seed).normal(size=(LATTICE.rows, LATTICE.columns, 2)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), blur)
    slope = max(np.abs(np.gradient(field[..., k], LATTICE.step)).max() for k in (0, 1))
    return (field * (strength / slope)).astype(np.float32)


def inside(margin: float = 4.0) -> np.ndarray:
    """Nodes at least `margin` steps from the lattice's rim."""
    nodes = LATTICE.nodes()
    pad = margin * LATTICE.step
    return np.all((nodes > nodes[0, 0] + pad) & (nodes < nodes[-1, -1] - pad), axis=2)[LATTICE.shown]


@pytest.mark.parametrize(("width", "height"), [(256, 256), (512, 300), (100, 731), (64, 64), (1023, 1024)])
def test_lattice_covers_the_picture_and_a_margin(width: int, height: int) -> None:
    nodes = Lattice.over(width, height).nodes()
    assert np.all(nodes[0, 0] < 0)
    assert nodes[-1, -1, 0] > width
    assert nodes[-1, -1, 1] > height
    steps = nodes[1:, 1:] - nodes[:-1, :-1]
    np.testing.assert_allclose(steps, steps[0, 0, 0], rtol=1e-6)


def test_sampling_is_exact_for_linear_values() -> None:
    nodes = LATTICE.nodes()
    values = np.stack([2.0 * nodes[..., 0] - nodes[..., 1], nodes[..., 1] + 3.0], axis=2).astype(np.float32)
    points = np.random.default_rng(0).uniform([0, 0], [255, 191], (50, 40, 2)).astype(np.float32)
    found = LATTICE.sample(values, points)
    expected = np.stack([2.0 * points[..., 0] - points[..., 1], points[..., 1] + 3.0], axis=2)
    # OpenCV interpolates in steps of 1/32 of a cell.
    np.testing.assert_allclose(found, expected, atol=3.0 * LATTICE.step / 32)


@pytest.mark.parametrize(("width", "height"), [(256, 192), (201, 130), (1023, 1024), (9, 7)])
def test_enlarged_values_lie_between_the_nodes(width: int, height: int) -> None:
    lattice = Lattice.over(width, height, (5.0, 0.0, 40.0, 0.0))
    nodes = lattice.nodes()[lattice.shown].astype(np.float32)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x, y], axis=2)
    for part in (Region.whole(width, height), Region(width // 3, 2, width - 1, height)):
        shown = lattice.enlarged(nodes, part)
        np.testing.assert_allclose(shown, pixels[part.top : part.bottom, part.left : part.right], atol=2e-3)


def test_bands_hold_all_that_their_cells_cover() -> None:
    """Marking the cell that a pixel lies in, by whichever node is nearest above and to the left, finds the pixel."""
    lattice = Lattice.over(301, 230)
    rows, columns = (side.stop - side.start for side in lattice.shown)
    nodes = lattice.nodes()[lattice.shown]
    nothing = np.zeros((rows - 1, columns - 1), bool)
    assert not lattice.bands(nothing, [])
    for x, y in ((0, 0), (300, 229), (77, 31), (3, 128), (150, 127), (9, 229)):
        cells = nothing.copy()
        cells[np.searchsorted(nodes[:, 0, 1], y, "right") - 1, np.searchsorted(nodes[0, :, 0], x, "right") - 1] = True
        near = {(x + right, y + down) for right in (-4, 0, 4) for down in (-4, 0, 4)}
        inside = {(x, y) for x, y in near if 0 <= x < 301 and 0 <= y < 230}
        bands = lattice.bands(cells, [])
        assert all(any(b.left <= x < b.right and b.top <= y < b.bottom for b in bands) for x, y in inside)
        assert max(band.right - band.left for band in bands) <= lattice.step + 10


def test_bands_hold_other_regions_too() -> None:
    lattice = Lattice.over(301, 400)
    cells = np.zeros([side.stop - side.start - 1 for side in lattice.shown], bool)
    other = Region(20, 100, 60, 140)
    assert lattice.bands(cells, [other]) == [Region(20, 0, 60, 128), Region(20, 128, 60, 256)]
    cells[-3, -3] = True
    bands = lattice.bands(cells, [other])
    assert [(band.top, band.bottom) for band in bands] == [(0, 128), (128, 256), (256, 384), (384, 400)]
    assert bands[0].right == 60
    assert bands[2].left > 60


def test_determinant_of_known_maps() -> None:
    nodes = LATTICE.nodes()
    for matrix, expected in (
        (np.eye(2), 1.0), (np.diag([2.0, 0.5]), 1.0), (np.diag([0.5, 0.5]), 0.25),
        (np.diag([-1.0, 1.0]), -1.0),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), 1.0), (np.array([[1.0, 0.7], [0.0, 1.0]]), 1.0),
    ):  # fmt: skip
        displacement = (nodes @ matrix.T - nodes).astype(np.float32)
        np.testing.assert_allclose(determinant(jacobian(displacement, LATTICE.step)), expected, atol=1e-3)


def test_no_displacement_inverts_to_no_displacement() -> None:
    nothing = np.zeros((LATTICE.rows, LATTICE.columns, 2), np.float32)
    np.testing.assert_allclose(invert(nothing, LATTICE), SHOWN, atol=1e-4)


@pytest.mark.parametrize("shift", [(5.0, -3.0), (-12.0, 20.0)])
def test_shift_inverts_to_the_opposite_shift(shift: tuple[float, float]) -> None:
    field = np.broadcast_to(np.float32(shift), (LATTICE.rows, LATTICE.columns, 2)).copy()
    np.testing.assert_allclose(invert(field, LATTICE), SHOWN - shift, atol=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.35))
def test_field_after_its_inverse_is_identity(seed: int, strength: float) -> None:
    field = smooth_field(seed, strength)
    points = invert(field, LATTICE)
    back = points + LATTICE.sample(field, points)
    error = np.linalg.norm(back - SHOWN, axis=2)
    assert error[inside()].max() < 0.02 * LATTICE.step


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.4))
def test_gentle_fields_pass_bit_for_bit(seed: int, strength: float) -> None:
    field = smooth_field(seed, strength)
    before = field.copy()
    np.testing.assert_array_equal(without_folds(field, LATTICE.step), before)
    np.testing.assert_array_equal(field, before)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(1.2, 2.5))
def test_folds_are_taken_out(seed: int, strength: float) -> None:
    field = smooth_field(seed, strength, blur=3.0)
    flat = without_folds(field, LATTICE.step)
    assert determinant(jacobian(flat, LATTICE.step)).min() > 0.0


def test_only_the_fold_and_its_surroundings_change() -> None:
    nodes = LATTICE.nodes()
    bump = np.exp(-np.sum((nodes - [60.0, 60.0]) ** 2, axis=2) / (2 * 8.0**2))
    field = np.stack([30.0 * bump, np.zeros_like(bump)], axis=2).astype(np.float32)
    assert determinant(jacobian(field, LATTICE.step)).min() < 0.0
    flat = without_folds(field, LATTICE.step)
    assert determinant(jacobian(flat, LATTICE.step)).min() > 0.0
    far = np.linalg.norm(nodes - [60.0, 60.0], axis=2) > 90.0
    np.testing.assert_array_equal(flat[far], field[far])
