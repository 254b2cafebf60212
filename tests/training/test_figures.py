"""Exact figures on tiny pictures."""

from __future__ import annotations

import pytest
import torch

from avatarkit.training.figures import face_mask, l1, masked_mean, psnr_db


def test_psnr_of_a_known_error() -> None:
    target = torch.full((2, 3, 4, 4), 0.5)
    predicted = target.clone()
    predicted[1] += 0.1
    assert psnr_db(predicted, target).tolist() == pytest.approx([100, 20], abs=1e-4)


def test_only_what_the_mask_shows_counts() -> None:
    target, predicted = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    predicted[..., 0, 0] = 0.1
    predicted[..., 1, 1] = 1.0
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert l1(predicted, target, mask).item() == pytest.approx(0.05)
    assert psnr_db(predicted, target, mask).item() == pytest.approx(-10 * torch.log10(torch.tensor(0.005)).item())
    assert masked_mean(predicted, torch.zeros_like(mask)).item() == 0


def test_values_out_of_range_are_cut_before_they_count() -> None:
    assert psnr_db(torch.full((1, 3, 2, 2), 1.7), torch.ones(1, 3, 2, 2)).item() == 100


def test_face_mask_is_the_hull() -> None:
    square = torch.tensor([[[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0], [2.0, 2.0]]])
    expected = torch.zeros(1, 1, 6, 7)
    expected[..., 1:4, 1:5] = 1
    assert torch.equal(face_mask(square, 6, 7), expected)


def test_points_on_a_line_are_no_face() -> None:
    line = torch.stack([torch.arange(5.0), torch.arange(5.0)], 1)[None]
    assert face_mask(line, 6, 6).sum() == 0
