from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avatarkit.face.landmarks import LEFT_UPPER_LID, RIGHT_UPPER_LID
from avatarkit.head.face_crop import (
    EYE_MARGIN,
    FACE_CENTRE,
    FACE_HALF,
    eye_crops,
    face_crops,
    face_disc,
    landmarks_in_face_crop,
)
from avatarkit.head.matrix import pixels, project


def ramps(height: int = 96, width: int = 128) -> torch.Tensor:
    """Red holds x, green y, in pixels over 256."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x / 256, y / 256, torch.zeros_like(x / 256)])[None]


def posed(
    yaw_deg: float = 0.0, roll_deg: float = 0.0, scale: float = 0.9, shift: tuple[float, float] = (0, 0)
) -> Tensor:
    """A head transform (1, 4, 4)."""
    yaw, roll = math.radians(yaw_deg), math.radians(roll_deg)
    turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    lean = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    head = np.eye(4, dtype=np.float32)
    head[:3, :3], head[:2, 3] = scale * lean @ turn, shift
    return torch.from_numpy(head)[None]


def on_the_face(head: Tensor, size: int) -> Tensor:
    """478 points on the plane of eyes and mouth, (1, 478, 3) pixels of a square picture."""
    draw = np.random.default_rng(0)
    flat = draw.uniform(-0.35, 0.35, (478, 2)) + FACE_CENTRE[:2]
    placed = project(head[0].numpy(), np.concatenate([flat, np.full((478, 1), FACE_CENTRE[2])], 1))
    points = np.concatenate([pixels(placed[:, :2], size), placed[:, 2:] * size / 2], 1)
    return torch.from_numpy(points.astype(np.float32))[None]


POSES = [posed(), posed(yaw_deg=30), posed(roll_deg=-25), posed(20, 15, 0.6, (0.1, -0.2))]


@pytest.mark.parametrize("head", POSES)
def test_a_face_is_seen_alike_in_every_pose(head: Tensor) -> None:
    """The same points of a face lie at the same places of the crop, whatever roll, size, turn and place."""
    straight = landmarks_in_face_crop(on_the_face(POSES[0], 96), POSES[0], 96, 40)
    turned = landmarks_in_face_crop(on_the_face(head, 64), head, 64, 40)
    assert torch.allclose(turned[..., :2], straight[..., :2], atol=1e-3)
    assert 19.4 < straight[..., 0].mean() < 20.6  # the middle of the crop


@pytest.mark.parametrize("head", POSES)
@pytest.mark.parametrize("size", [20, 40])
def test_landmarks_keep_what_they_point_at(head: Tensor, size: int) -> None:
    """The colours under a landmark, which tell its place in the picture, are the same in the crop."""
    landmarks = on_the_face(head, 96)
    points = landmarks_in_face_crop(landmarks, head, 96, size)
    crop = face_crops(ramps(96, 96), head, size)
    grid = (2 * points[:, None, :, :2] + 1) / size - 1
    colours = torch.nn.functional.grid_sample(crop, grid, align_corners=False)[0, :2, 0].T * 256
    inside = ((landmarks[0, :, :2] > 1) & (landmarks[0, :, :2] < 94)).all(1)
    assert inside.sum() > 300
    assert torch.allclose(colours[inside], landmarks[0, :, :2][inside], atol=0.03)


def test_a_profile_is_not_stretched_without_limit() -> None:
    wide = [face_crops(ramps(96, 96), posed(yaw_deg=yaw), 20)[0, 0, 10] * 256 for yaw in (60, 80, 90)]
    spans = [float(row[-1] - row[0]) for row in wide]
    assert spans[0] == pytest.approx(0.5 * 0.9 * 0.6 * 96 * 19 / 20, rel=0.02)
    assert spans[1] == pytest.approx(spans[0], rel=0.02)
    assert all(torch.isfinite(row).all() for row in wide)


def test_depth_of_landmarks_scales_with_the_crop() -> None:
    landmarks = on_the_face(POSES[0], 64)
    points = landmarks_in_face_crop(landmarks, POSES[0], 64, 40)
    assert torch.allclose(points[..., 2], landmarks[..., 2] * 40 / (64 * 0.9 * FACE_HALF), atol=1e-3)
    assert torch.equal(landmarks_in_face_crop(landmarks[..., :2], POSES[0], 64, 40), points[..., :2])


def test_crops_beyond_the_picture_are_black() -> None:
    crop = face_crops(torch.ones(1, 3, 64, 64), posed(shift=(-0.9, 0)), 24)
    assert crop[0, :, :, 0].max() == 0
    assert crop[0, :, 12, -1].min() == 1


def test_shrinking_averages_instead_of_skipping() -> None:
    """A fine chess board turns grey."""
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    board = ((x + y) % 2).float().expand(1, 3, 128, 128)
    crop = face_crops(board, posed(scale=64 / 128 / FACE_HALF), 16)
    assert (crop - 0.5).abs().max() < 0.05


def test_disc_holds_the_face_and_not_the_corners() -> None:
    disc = face_disc(100)
    assert torch.allclose(disc, disc.T)
    assert torch.allclose(disc, disc.flip(0), atol=1e-5)
    assert disc[50, 9] == disc[50, 50] == 1
    assert disc[50, 0] == disc[0, 0] == disc[15, 15] == 0


def eyes(roll_deg: float) -> torch.Tensor:
    """Eyes 20 px wide at (40, 50) and (80, 50), turned about (60, 50)."""
    landmarks = torch.zeros(1, 478, 2)
    for lid, outer, inner in ((RIGHT_UPPER_LID, 30.0, 50.0), (LEFT_UPPER_LID, 90.0, 70.0)):
        landmarks[0, lid[0], 0], landmarks[0, lid[-1], 0] = outer - 60, inner - 60
    angle = math.radians(roll_deg)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return landmarks @ turn.T + torch.tensor([60.0, 50.0])


@pytest.mark.parametrize("roll_deg", [0.0, 30.0])
def test_eye_crops_are_level_and_in_order(roll_deg: float) -> None:
    crops = eye_crops(ramps(), eyes(roll_deg), 32) * 256
    assert crops.shape == (1, 2, 3, 32, 32)
    angle = math.radians(roll_deg)
    for eye, away in ((0, -20), (1, 20)):
        centre = crops[0, eye, :2, 15:17, 15:17].mean((1, 2))
        assert centre.tolist() == pytest.approx([60 + away * math.cos(angle), 50 + away * math.sin(angle)], abs=1e-2)
        step = crops[0, eye, :2, 16, 16] - crops[0, eye, :2, 16, 15]
        pixel = 20 * EYE_MARGIN / 32
        assert step.tolist() == pytest.approx([pixel * math.cos(angle), pixel * math.sin(angle)], abs=1e-2)


@pytest.mark.parametrize("cut", [face_crops, eye_crops])
def test_gradients_pass_to_the_picture_alone(cut) -> None:
    image = torch.rand(1, 3, 96, 96, requires_grad=True)
    landmarks = (eyes(10) if cut is eye_crops else posed()).requires_grad_()
    cut(image, landmarks, 16).sum().backward()
    assert image.grad.abs().sum() > 0
    assert landmarks.grad is None


@pytest.mark.parametrize("cut", [face_crops, eye_crops])
def test_crops_are_the_same_in_mixed_precision(cut) -> None:
    landmarks = eyes(10) if cut is eye_crops else posed()
    plain = cut(ramps(96, 96), landmarks, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cut(ramps(96, 96), landmarks, 16), plain)


def test_landmarks_in_one_place_do_no_harm() -> None:
    assert torch.isfinite(eye_crops(ramps(), torch.full((1, 478, 3), 50.0), 16)).all()
