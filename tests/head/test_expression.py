"""Expression as numbers: alike in every pose and size, each moved by its own landmarks alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avatarkit.face import landmarks as lm
from avatarkit.head.expression import NUMBERS, expression_numbers
from avatarkit.head.matrix import pixels, project

NAMES = list(NUMBERS)


def mesh() -> np.ndarray:
    """Points of a made-up face in canonical coordinates, no two at one place."""
    return np.random.default_rng(0).uniform(-0.4, 0.4, (478, 3))


def numbers(points: np.ndarray, yaw_deg: float = 0.0, scale: float = 0.9, size: int = 64) -> Tensor:
    yaw = math.radians(yaw_deg)
    head = np.eye(4)
    head[:3, :3] = scale * np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    head[:2, 3] = 0.1, -0.05
    placed = project(head, points)
    flat = np.concatenate([pixels(placed[:, :2], size), placed[:, 2:] * size / 2], 1)
    given = (torch.from_numpy(value.astype(np.float32))[None] for value in (flat, head))
    return expression_numbers(*given, size)[0]


@pytest.mark.parametrize(("yaw_deg", "scale", "size"), [(0, 0.6, 64), (25, 0.9, 64), (-40, 1.1, 256)])
def test_pose_and_size_change_nothing(yaw_deg: float, scale: float, size: int) -> None:
    assert torch.allclose(numbers(mesh(), yaw_deg, scale, size), numbers(mesh()), atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize(
    ("moved", "by", "changed"),
    [
        ([14], (0, 0.05, 0), {"mouth opening": None, "mouth corners' height": 0.025}),
        ([61, 291], (0, -0.02, 0), {"mouth corners' height": 0.02}),
        ([lm.BROWS[0][2]], (0, -0.03, 0), {"right brow's height": 0.03}),
        ([lm.BROWS[1][2]], (0, -0.03, 0), {"left brow's height": 0.03}),
        ([*lm.UPPER_LIDS[0][3:6]], (0, -0.02, 0), {"right eye's opening": None}),
        ([*lm.UPPER_LIDS[1][3:6]], (0, -0.02, 0), {"left eye's opening": None}),
        ([*lm.IRIS_CENTRES], (0, 0.02, 0), {"gaze across": None}),
        ([*lm.IRIS_CENTRES], (0.02, 0, 0), {"gaze along": None}),
    ],
)
def test_each_number_is_moved_by_its_own_landmarks(
    moved: list[int], by: tuple[float, ...], changed: dict[str, float | None]
) -> None:
    points = mesh()
    points[moved] += by
    change = numbers(points) - numbers(mesh())
    for name, value in zip(NAMES, change.tolist(), strict=True):
        if name not in changed:
            assert abs(value) < 1e-3, name
        elif changed[name] is None:
            assert abs(value) > 0.01, name
        else:
            assert value * NUMBERS[name][1] == pytest.approx(changed[name], abs=1e-4), name


def test_half_precision_around_it_changes_nothing() -> None:
    plain = numbers(mesh(), 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(numbers(mesh(), 20), plain)
