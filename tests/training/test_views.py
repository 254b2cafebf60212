"""Views of a photo: picture, landmarks and head transform move together."""

from __future__ import annotations

import math

import torch
from synthetic_heads import FACE, frame

from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.training.views import ViewRange, draw_transforms, shrink, view

LIMITS = ViewRange(max_roll_deg=15, max_zoom=1.15, max_shift=0.08)


def photo(size: int = 64) -> dict[str, torch.Tensor]:
    return prepared({key: value[None] for key, value in frame(0, 0, size).items()})


def test_identity_changes_nothing() -> None:
    before, after = photo(), view(photo(), torch.eye(4)[None])
    for key in ("image", "matte", "landmarks", "head"):
        torch.testing.assert_close(after[key], before[key], atol=1e-5, rtol=1e-5)


def test_a_shift_of_whole_pixels_moves_everything_by_them() -> None:
    size, pixels = 64, 5
    transform = torch.eye(4)[None]
    transform[0, 0, 3] = 2 * pixels / size
    before, after = photo(size), view(photo(size), transform)
    torch.testing.assert_close(after["image"][..., pixels:], before["image"][..., :-pixels], atol=1e-5, rtol=0)
    moved = before["landmarks"] + torch.tensor([pixels, 0.0, 0.0])
    torch.testing.assert_close(after["landmarks"], moved, atol=1e-4, rtol=0)


def test_landmarks_follow_the_picture() -> None:
    size = 65
    dot = torch.zeros(1, 3, size, size)
    dot[0, :, 40, 20] = 1
    landmarks = torch.tensor([[[20.0, 40.0, 0.0]]])
    given = {"image": dot, "matte": dot[:, :1], "landmarks": landmarks, "head": torch.eye(4)[None]}
    for seed in range(5):
        seen = view(given, draw_transforms(torch.tensor([seed]), LIMITS))
        weights = seen["image"][0, 0]
        y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        centre = torch.stack([(weights * x).sum(), (weights * y).sum()]) / weights.sum()
        torch.testing.assert_close(centre, seen["landmarks"][0, 0, :2], atol=0.2, rtol=0)


def test_head_transform_goes_on_to_place_the_landmarks() -> None:
    size = 64
    seen = view(photo(size), draw_transforms(torch.tensor([3]), LIMITS))
    face = torch.cat([torch.from_numpy(FACE).float(), torch.ones(len(FACE), 1)], 1)
    placed = face @ seen["head"][0].T
    pixels = ((placed[:, :2] + 1) * size - 1) / 2
    torch.testing.assert_close(pixels, seen["landmarks"][0, :, :2], atol=1e-2, rtol=0)
    torch.testing.assert_close(placed[:, 2] * size / 2, seen["landmarks"][0, :, 2], atol=1e-2, rtol=0)


def test_draws_belong_to_the_seed_and_keep_their_limits() -> None:
    seeds = torch.arange(50)
    drawn = draw_transforms(seeds, LIMITS)
    assert torch.equal(drawn[7:9], draw_transforms(seeds[7:9], LIMITS))
    zoom = drawn[:, 2, 2]
    assert zoom.min() >= 1
    assert zoom.max() <= 1.15
    roll = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0]).abs() * 180 / math.pi
    assert 5 < roll.max() <= 15
    assert 0.08 < drawn[:, :2, 3].abs().max() <= 0.16


def test_shrinking_keeps_places() -> None:
    small = shrink(photo(64), 32)
    assert small["image"].shape == (1, 3, 32, 32)
    torch.testing.assert_close(small["landmarks"][..., :2], (photo(64)["landmarks"][..., :2] + 0.5) / 2 - 0.5)
    torch.testing.assert_close(small["landmarks"][..., 2], photo(64)["landmarks"][..., 2] / 2)
    assert torch.equal(small["head"], photo(64)["head"])
