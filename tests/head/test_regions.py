"""Boxes and ellipses of eyes and mouth."""

from __future__ import annotations

import pytest
import torch

from avatarkit.face.landmarks import LOWER_LIDS, OUTER_LIP_LOWER, OUTER_LIP_UPPER, UPPER_LIDS
from avatarkit.head.regions import EYES, MOUTH, eyes_mask, mouth_mask, region_mask, region_weights


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


def marks(height: float) -> torch.Tensor:
    """Lips 20 px wide about (30, 40), eyes 8 px wide about (20, 20) and (40, 20), `height` px high."""
    points = torch.full((1, 478, 2), -100.0)
    for parts, middles, half in ((MOUTH, [(30.0, 40.0)], 10.0), (EYES, [(20.0, 20.0), (40.0, 20.0)], 4.0)):
        for part, middle in zip(parts, middles, strict=True):
            steps = torch.linspace(0, 2 * torch.pi, len(part) + 1)[:-1]
            ring = torch.stack([half * steps.cos(), height / 2 * steps.sin()], 1)
            points[0, list(part)] = torch.tensor(middle) + ring
    return points


@pytest.mark.parametrize("height", [0.0, 4.0])
def test_regions_lie_where_the_landmarks_are(height: float) -> None:
    mouth = region_mask(marks(height), MOUTH, 64, 64)
    eyes = region_mask(marks(height), EYES, 64, 64)
    assert mouth.shape == (1, 1, 64, 64)
    assert mouth[0, 0, 40, 18:43].min() == 1  # wider than the lips
    assert mouth[0, 0, 36:45, 30].min() == 1  # also where they are shut
    assert mouth[0, 0, :28].max() == mouth[0, 0, 53:].max() == mouth[0, 0, 40, :15].max() == 0
    assert eyes[0, 0, 20, 20] == eyes[0, 0, 20, 40] == 1
    assert eyes[0, 0, 20, 30] == eyes[0, 0, 40, 30] == 0


def test_weights_add_up_from_one() -> None:
    weights = region_weights(marks(4.0), 64, 64, mouth=3.0, eyes=0.5)
    assert weights[0, 0, 40, 30] == 4
    assert weights[0, 0, 20, 20] == 1.5
    assert weights[0, 0, 0, 0] == 1


def test_size_follows_the_picture() -> None:
    assert region_mask(marks(4.0).repeat(3, 1, 1), EYES, 32, 48).shape == (3, 1, 32, 48)
