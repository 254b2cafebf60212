"""The driver's new shape: lids, irises and lips keep their proportions, the outline does not, and nothing folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import FaceState, measure
from avatarkit.training.augment.shape import DRAWS, ShapeStrength, change_shape, control_points
from avatarkit.training.augment.spline import Spline, fit_spline, warp

SIZE, SAMPLES = 128, 16
EYES_AND_LIPS = [
    *(point for lids in (*lm.UPPER_LIDS, *lm.LOWER_LIDS) for point in lids),
    *lm.INNER_LIP_UPPER,
    *lm.INNER_LIP_LOWER,
    *lm.IRIS_CENTRES,
]


def face_at(hopper_landmarks: np.ndarray, yaw_deg: float) -> Tensor:
    """Landmarks of a portrait, turned, in the middle of a crop, for each sample."""
    points = (hopper_landmarks - hopper_landmarks.mean(0)) @ from_euler_deg(yaw_deg, 0, 8).T
    points *= 0.55 * SIZE / np.ptp(points[list(lm.FACE_OVAL), 1])
    return torch.from_numpy(points + (SIZE - 1) / 2).float()[None].repeat(SAMPLES, 1, 1)


@pytest.fixture
def draws() -> Tensor:
    return torch.rand(SAMPLES, DRAWS, generator=torch.Generator().manual_seed(0))


def normalised(points: Tensor) -> Tensor:
    return (2 * points[..., :2] + 1) / SIZE - 1


def spline_of(points: Tensor, draws: Tensor) -> Spline:
    """From the new picture back to the old one, as `change_shape` makes it."""
    before, after = control_points(normalised(points), draws, ShapeStrength())
    return fit_spline(after, before)


def moved(points: Tensor, spline: Spline) -> Tensor:
    """Where points in pixels are found in the new picture: the spline inverted by steps."""
    wanted = normalised(points)
    found = wanted.clone()
    for _ in range(60):
        found = found - 0.5 * (spline(found) - wanted)
    torch.testing.assert_close(spline(found), wanted, rtol=0, atol=1e-4)
    return ((found + 1) * SIZE - 1) / 2


def state(points: Tensor) -> FaceState:
    return measure(points.numpy().astype(np.float64))


@pytest.mark.parametrize("yaw_deg", [0, 35, 60])
def test_expression_stays_and_the_outline_does_not(yaw_deg: float, hopper_landmarks, draws: Tensor) -> None:
    points = face_at(hopper_landmarks, yaw_deg)
    there = moved(points, spline_of(points, draws))
    was = state(points[0, :, :2])
    for sample in there:
        now = state(sample)
        np.testing.assert_allclose(now.eye_opening, was.eye_opening, rtol=0.04)
        np.testing.assert_allclose(now.gaze, was.gaze, atol=0.01)
        assert now.mouth_opening == pytest.approx(was.mouth_opening, abs=0.01)
    shift = (there - points[..., :2]).norm(dim=-1)
    eyes_px = float((points[0, 33, :2] - points[0, 263, :2]).norm())
    jaw = shift[:, [172, 152, 397, 136, 365]].mean(1)
    assert jaw.mean() > 0.04 * eyes_px
    assert shift[:, lm.FACE_OVAL].amax() > 0.1 * eyes_px


def test_dots_drawn_at_lids_lips_and_irises_tell_the_same(hopper_landmarks, draws: Tensor) -> None:
    """The picture itself: one channel with a dot for each landmark, found again by its centre of mass."""
    points = face_at(hopper_landmarks, 0)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    square = (x - points[0, EYES_AND_LIPS, 0, None, None]) ** 2 + (y - points[0, EYES_AND_LIPS, 1, None, None]) ** 2
    dots = torch.exp(-square / 4.5)[None].repeat(4, 1, 1, 1)
    found = change_shape(dots, points[:4], draws[:4], ShapeStrength())
    mass = found.sum((2, 3))
    seen = points[:4, :, :2].clone()
    seen[:, EYES_AND_LIPS] = torch.stack([(found * axis).sum((2, 3)) / mass for axis in (x, y)], dim=-1)
    was = state(points[0, :, :2])
    for sample in seen:
        now = state(sample)
        np.testing.assert_allclose(now.eye_opening, was.eye_opening, rtol=0.05)
        np.testing.assert_allclose(now.gaze, was.gaze, atol=0.02)
        assert now.mouth_opening == pytest.approx(was.mouth_opening, abs=0.02)
    assert (seen - points[:4, :, :2])[:, EYES_AND_LIPS].norm(dim=-1).mean() > 0.5


@pytest.mark.parametrize("yaw_deg", [0, 40, 80])
def test_nothing_folds(yaw_deg: float, hopper_landmarks, draws: Tensor) -> None:
    extremes = torch.cat([draws[:8], draws[8:].round() * 0.999])
    spline = spline_of(face_at(hopper_landmarks, yaw_deg), extremes)
    steps = torch.linspace(-1, 1, 97)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    map_ = spline(grid.reshape(1, -1, 2).expand(SAMPLES, -1, -1)).reshape(SAMPLES, 97, 97, 2)
    across, down = map_.diff(dim=2)[:, :-1], map_.diff(dim=1)[:, :, :-1]
    area = (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]) / (steps[1] - steps[0]) ** 2
    assert area.min() > 0.2
    assert area.max() < 5


def test_edge_of_the_picture_stays(hopper_landmarks, draws: Tensor) -> None:
    spline = spline_of(face_at(hopper_landmarks, 0), draws)
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).expand(SAMPLES, -1, -1)
    torch.testing.assert_close(spline(corners), corners, rtol=0, atol=2e-3)


def test_middle_draws_change_nothing(hopper_landmarks) -> None:
    image = torch.rand(SAMPLES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    half = torch.full((SAMPLES, DRAWS), 0.5)
    found = change_shape(image, face_at(hopper_landmarks, 20), half, ShapeStrength())
    torch.testing.assert_close(found, image, rtol=0, atol=1e-3)


def test_landmarks_on_top_of_each_other_and_outside_are_borne(draws: Tensor) -> None:
    image = torch.rand(SAMPLES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    for points in (torch.full((SAMPLES, 478, 3), 60.0), torch.full((SAMPLES, 478, 3), -500.0)):
        found = change_shape(image, points, draws, ShapeStrength())
        assert torch.isfinite(found).all()


# Splines


def test_spline_meets_its_targets_and_is_affine_where_they_are() -> None:
    draw = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(2, 9, 2, generator=draw) - 1
    targets = points + 0.1 * torch.rand(2, 9, 2, generator=draw)
    torch.testing.assert_close(fit_spline(points, targets, 0)(points), targets, rtol=0, atol=1e-5)
    matrix, shift = torch.tensor([[1.1, 0.2], [-0.1, 0.9]]), torch.tensor([0.3, -0.2])
    affine = fit_spline(points, points @ matrix.T + shift)
    torch.testing.assert_close(affine.weights, torch.zeros_like(affine.weights), rtol=0, atol=1e-4)
    other = 2 * torch.rand(2, 5, 2, generator=draw) - 1
    torch.testing.assert_close(affine(other), other @ matrix.T + shift, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(24, 24), (25, 31)])
def test_warp_shifts_by_whole_pixels(size: tuple[int, int]) -> None:
    height, width = size
    image = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[-0.8, -0.7], [0.7, -0.8], [0.1, 0.9], [0.0, 0.0]]])
    spline = fit_spline(points, points + torch.tensor([2 * 3 / width, -2 * 2 / height]))
    found = warp(image, spline)
    torch.testing.assert_close(found[..., 2:, :-3], image[..., :-2, 3:], rtol=0, atol=1e-3)
