"""Boxes of eyes and mouth."""

from __future__ import annotations

import torch

from avatarkit.face.landmarks import LOWER_LIDS, OUTER_LIP_LOWER, OUTER_LIP_UPPER, UPPER_LIDS
from avatarkit.head.regions import eyes_mask, mouth_mask


def face(size: int) -> torch.Tensor:
    points = torch.full((1, 478, 3), size / 2.0)
    # Boxes of an eighth by a sixteenth of the side.
    for upper, lower, left in zip(UPPER_LIDS, LOWER_LIDS, (0.25, 0.625), strict=True):
        points[:, list(upper + lower)] = torch.tensor([left, 0.25, 0]) * size
        points[:, upper[-1]] = torch.tensor([left + 0.125, 0.3125, 0]) * size
    points[:, list(OUTER_LIP_UPPER + OUTER_LIP_LOWER)] = torch.tensor([0.5, 0.75, 0]) * size
    points[:, OUTER_LIP_LOWER[5]] = torch.tensor([0.5, 0.8125, 0]) * size
    return points


def test_boxes_reach_a_margin_beyond_the_outlines() -> None:
    mouth = mouth_mask(face(256), 256)[0, 0].nonzero()
    assert mouth.amin(0).tolist() == [192 - 5, 128 - 5]
    assert mouth.amax(0).tolist() == [208 + 5, 128 + 5]
    eyes = eyes_mask(face(256), 256)[0, 0]
    rows, columns = eyes.any(1).nonzero(), eyes.any(0).nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (61, 83, 61, 195)
    assert eyes.sum() == 2 * 23 * 39


def test_margins_are_shares_of_the_side() -> None:
    large, small = (mouth_mask(face(size), size).mean().item() for size in (512, 128))
    assert abs(large - small) < 0.002


def test_a_crossed_outline_does_not_empty_its_box() -> None:
    points = face(256)
    points[:, OUTER_LIP_UPPER[5]] = points[:, OUTER_LIP_LOWER[5]] + torch.tensor([0.0, 10.0, 0.0])
    assert mouth_mask(points, 256).sum() > mouth_mask(face(256), 256).sum()
