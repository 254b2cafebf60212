"""Two views of one photo: what the enhancer takes for source and driver, since photos do not move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ViewRange:
    """How far a view may differ from its photo.

    max_roll_deg: turned either way. max_zoom: enlarged by 1 to this. max_shift: moved along each axis, as a
    share of the side.
    """

    max_roll_deg: float
    max_zoom: float
    max_shift: float


def draw_transforms(seeds: Tensor, limits: ViewRange) -> Tensor:
    """A similarity per sample that takes normalised coordinates of the photo to those of the view.

    Args:
        seeds: int64 (B,) on the CPU; a sample's view depends on its seed alone.

    Returns:
        (B, 4, 4) float32 on the CPU, acting on (x, y, z, 1); depth grows with the picture.
    """
    rows = []
    for seed in seeds.tolist():
        roll_share, zoom_share, x_share, y_share = np.random.default_rng(seed).random(4).tolist()
        roll = math.radians(limits.max_roll_deg) * (2 * roll_share - 1)
        zoom = math.exp(math.log(limits.max_zoom) * zoom_share)
        # Normalised coordinates run over two units, so a share of the side counts twice.
        shift = [2 * limits.max_shift * (2 * share - 1) for share in (x_share, y_share)]
        cos, sin = zoom * math.cos(roll), zoom * math.sin(roll)
        rows.append([[cos, -sin, 0, shift[0]], [sin, cos, 0, shift[1]], [0, 0, zoom, 0], [0, 0, 0, 1]])
    return torch.tensor(rows, dtype=torch.float32)


def view(photo: Mapping[str, Any], transforms_B44: Tensor) -> dict[str, Any]:
    """The photo seen through a transform, with everything that lies in its coordinates.

    Args:
        photo: "image" (B, 3, S, S) and "matte" (B, 1, S, S) float in [0, 1], "landmarks" (B, N, 3) in pixels,
            "head" (B, 4, 4). transforms_B44: from the photo's normalised coordinates to the view's.

    Returns:
        The same keys, of the view; nothing lies outside the photo (black, matte 0).
    """
    image = photo["image"]
    size = image.shape[-1]
    forward = transforms_B44.to(image, non_blocking=True)
    back = torch.linalg.inv_ex(forward).inverse[:, :2]
    back = torch.cat([back[..., :2], back[..., 3:]], dim=2)
    grid = F.affine_grid(back, list(image.shape), align_corners=False)
    points = _normalised(photo["landmarks"], size)
    moved = points @ forward[:, :3, :3].mT + forward[:, None, :3, 3]
    return {
        "image": F.grid_sample(image, grid, align_corners=False),
        "matte": F.grid_sample(photo["matte"], grid, align_corners=False),
        "landmarks": _pixels(moved, size),
        "head": forward @ photo["head"],
    }


def shrink(frame: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The frame at a smaller size; the side must be a multiple of the new one."""
    big = frame["image"].shape[-1]
    return {
        "image": F.interpolate(frame["image"], size=(size, size), mode="area"),
        "matte": F.interpolate(frame["matte"], size=(size, size), mode="area"),
        "landmarks": _pixels(_normalised(frame["landmarks"], big), size),
        "head": frame["head"],
    }


def _normalised(points_px: Tensor, size: int) -> Tensor:
    """Pixels to normalised coordinates; depth has no origin, only the same unit."""
    scaled = points_px * (2 / size)
    return torch.cat([scaled[..., :2] + 1 / size - 1, scaled[..., 2:]], -1)


def _pixels(points: Tensor, size: int) -> Tensor:
    return torch.cat([points[..., :2] + 1 - 1 / size, points[..., 2:]], -1) * (size / 2)
