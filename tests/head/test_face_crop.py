from __future__ import annotations

import math

import pytest
import torch

from avatarkit.face.landmarks import LEFT_UPPER_LID, RIGHT_UPPER_LID
from avatarkit.head.face_crop import EYE_MARGIN, FACE_MARGIN, eye_crops, face_crops, face_disc, landmarks_in_face_crop


def ramps(height: int = 96, width: int = 128) -> torch.Tensor:
    """Red holds x, green y, in pixels over 256."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x / 256, y / 256, torch.zeros_like(x / 256)])[None]


def face(left: float, top: float, side: float) -> torch.Tensor:
    """Landmarks inside a square, with two of them in its corners."""
    points = torch.rand(1, 478, 3, generator=torch.Generator().manual_seed(0)) * side
    points[0, 0, :2], points[0, 1, :2] = 0, side
    return points + torch.tensor([left, top, 0.0])


def test_face_crop_shows_the_right_pixels() -> None:
    landmarks = face(40, 30, 20 / FACE_MARGIN)
    centre = torch.tensor([40, 30]) + 10 / FACE_MARGIN
    crop = face_crops(ramps(), landmarks, 20)
    wanted = centre + torch.tensor([0.5 - 10, 9.5 - 10])  # first column's, last row's but nine
    assert (256 * crop[0, :2, 9, 0]).tolist() == pytest.approx([wanted[0].item(), wanted[1].item()], abs=1e-3)


@pytest.mark.parametrize("size", [10, 20, 40])
def test_landmarks_keep_what_they_point_at(size: int) -> None:
    """The colours under a landmark, which tell its place in the picture, are the same in the crop."""
    landmarks = face(40, 30, 25)
    points = landmarks_in_face_crop(landmarks, size)
    crop = face_crops(ramps(), landmarks, size)
    grid = (2 * points[:, None, :468, :2] + 1) / size - 1
    colours = torch.nn.functional.grid_sample(crop, grid, align_corners=False)[0, :2, 0].T * 256
    inside = (points[0, :468, :2] > 0).all(1) & (points[0, :468, :2] < size - 1).all(1)
    assert inside.sum() > 400
    assert torch.allclose(colours[inside], landmarks[0, :468, :2][inside], atol=0.02)


def test_depth_of_landmarks_scales_with_the_crop() -> None:
    landmarks = face(40, 30, 16)
    points = landmarks_in_face_crop(landmarks, 40)
    assert torch.allclose(points[..., 2], landmarks[..., 2] * 40 / (16 * FACE_MARGIN), atol=1e-4)
    assert torch.equal(landmarks_in_face_crop(landmarks[..., :2], 40), points[..., :2])


def test_crops_beyond_the_picture_are_black() -> None:
    crop = face_crops(torch.ones(1, 3, 64, 64), face(-20, 20, 30), 24)
    assert crop[0, :, :, 0].max() == 0
    assert crop[0, :, 12, -1].min() == 1


def test_shrinking_averages_instead_of_skipping() -> None:
    """A fine chess board turns grey."""
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    board = ((x + y) % 2).float().expand(1, 3, 128, 128)
    crop = face_crops(board, face(20, 20, 64 / FACE_MARGIN), 16)
    assert (crop - 0.5).abs().max() < 0.05


def test_disc_reaches_the_outermost_landmarks_and_not_the_corners() -> None:
    disc = face_disc(100)
    assert torch.allclose(disc, disc.T)
    assert torch.allclose(disc, disc.flip(0), atol=1e-5)
    ends = round(50 - 50 / FACE_MARGIN)  # where a row through the centre crosses the landmarks' extent
    assert disc[50, ends] == disc[50, 50] == 1
    assert disc[50, 0] == disc[0, 0] == disc[15, 15] == 0
    # 0.42 of the side from the centre it is half.
    assert disc[50, 7:9].mean() == pytest.approx(0.5, abs=0.02)


def test_face_crop_ignores_the_irises() -> None:
    landmarks = face(40, 30, 20)
    moved = landmarks.clone()
    moved[:, 468:] = -100
    assert torch.equal(face_crops(ramps(), moved, 16), face_crops(ramps(), landmarks, 16))


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
    image = torch.rand(1, 3, 96, 128, requires_grad=True)
    landmarks = (eyes(10) if cut is eye_crops else face(40, 30, 20)).requires_grad_()
    cut(image, landmarks, 16).sum().backward()
    assert image.grad.abs().sum() > 0
    assert landmarks.grad is None


@pytest.mark.parametrize("cut", [face_crops, eye_crops])
def test_crops_are_the_same_in_mixed_precision(cut) -> None:
    landmarks = eyes(10) if cut is eye_crops else face(40, 30, 20)
    plain = cut(ramps(), landmarks, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cut(ramps(), landmarks, 16), plain)


@pytest.mark.parametrize("cut", [face_crops, eye_crops])
def test_landmarks_in_one_place_do_no_harm(cut) -> None:
    assert torch.isfinite(cut(ramps(), torch.full((1, 478, 3), 50.0), 16)).all()
