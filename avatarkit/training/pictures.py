"""The picture that shows how a training stands: a row per sample, a column per kind of picture."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.training.stage import Columns

CELL_PX = (128, 256)
"""Least and greatest side of a cell; titles need room."""
GAP = 4
TITLE = 16
CHECKS = 8


def sheet(columns: Columns) -> NDArray[np.uint8]:
    """Columns side by side under their titles, uint8 (H, W, 3).

    Args:
        columns: pictures (B, 3, H, W) in [0, 1] by title; they are brought to the size of the largest, within
            128 to 256 pixels.
    """
    side = min(CELL_PX[1], max(CELL_PX[0], *(picture.shape[-1] for picture in columns.values())))
    count = min(len(picture) for picture in columns.values())
    height, width = TITLE + count * (side + GAP), len(columns) * (side + GAP)
    result = np.full((height, width, 3), 255, np.uint8)
    for number, picture in enumerate(columns.values()):
        left = number * (side + GAP)
        for row, cell in enumerate(_cells(picture[:count], side)):
            top = TITLE + row * (side + GAP)
            result[top : top + side, left : left + side] = cell
    return _with_titles(result, [(number * (side + GAP), title) for number, title in enumerate(columns)])


def warped_checks(grid_BDHW3: Tensor, size: int) -> Tensor:
    """A chess board seen through the middle slice of a sampling grid, (B, 3, size, size) in [0, 1].

    Args:
        grid_BDHW3: where each voxel is sampled, (x, y, z) in [-1, 1]. Red and green tell the place sampled
            from (x and y), blue the depth; what lies outside is black.
    """
    grid = grid_BDHW3[:, grid_BDHW3.shape[1] // 2].float()
    x, y, z = grid.unbind(-1)
    inside = (grid.abs() <= 1).all(-1)
    checks = (torch.floor((x + 1) * CHECKS / 2) + torch.floor((y + 1) * CHECKS / 2)) % 2
    colours = torch.stack([x, y, z], 1) / 2 + 0.5
    shown = colours.clamp(0, 1) * (0.5 + 0.5 * checks[:, None]) * inside[:, None]
    return F.interpolate(shown, size=(size, size), mode="nearest")


def _cells(picture: Tensor, side: int) -> NDArray[np.uint8]:
    resized = F.interpolate(
        picture.detach().float(), size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
    levels = (resized.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def _with_titles(picture: NDArray[np.uint8], titles: list[tuple[int, str]]) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for left, title in titles:
        draw.text((left + 2, 2), title, fill=(0, 0, 0))
    return np.asarray(canvas, np.uint8)
