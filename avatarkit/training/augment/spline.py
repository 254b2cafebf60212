"""Thin-plate splines that move pictures, in batches on any device.

F. L. Bookstein, "Principal Warps: Thin-Plate Splines and the Decomposition of Deformations", PAMI 1989. The kernels
stand at the points that are fitted, and a little stiffness keeps points that lie on top of each other solvable.
(Kornia's spline has its kernels at the targets; with lids a few pixels apart it folds pictures.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Spline", "fit_spline", "warp"]

_STIFFNESS = 1e-5
_STEP_PX = 2
_TINY = 1e-12


@dataclass(frozen=True)
class Spline:
    """A map of the plane: centres (B, K, 2), their weights (B, K, 2), and an affine part (B, 3, 2): 1, x, y."""

    centres: Tensor
    weights: Tensor
    affine: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Where points (B, N, 2) go."""
        moved = self.affine[:, :1] + points[..., :1] * self.affine[:, 1:2] + points[..., 1:] * self.affine[:, 2:]
        kernel = _kernel(points, self.centres)
        # Sums of products, not matrix products: those of GPUs may round to ten bits, and large weights cancel here.
        bend = [(kernel * self.weights[:, None, :, axis]).sum(-1) for axis in (0, 1)]
        return moved + torch.stack(bend, dim=-1)


def fit_spline(points: Tensor, targets: Tensor, stiffness: float = _STIFFNESS) -> Spline:
    """The spline that takes points (B, K, 2) to targets (B, K, 2), both in units of about 1.

    `stiffness` is how much bending weighs against missing the targets; 0 meets them exactly.
    """
    # Small systems, but ill-conditioned ones: in double precision where the device has it.
    exact = torch.float32 if points.device.type == "mps" else torch.float64
    centres, wanted = points.to(exact), targets.to(exact)
    batch, count = centres.shape[:2]
    plane = torch.cat([torch.ones_like(centres[..., :1]), centres], dim=-1)
    bends = _kernel(centres, centres) + stiffness * torch.eye(count, dtype=exact, device=points.device)
    corner = plane.new_zeros(batch, 3, 3)
    system = torch.cat([torch.cat([bends, plane], 2), torch.cat([plane.mT, corner], 2)], 1)
    ends = torch.cat([wanted, wanted.new_zeros(batch, 3, 2)], 1)
    # solve_ex does not wait for the device to report singular matrices.
    solved = torch.linalg.solve_ex(system, ends).result.to(points.dtype)
    return Spline(points, solved[:, :count], solved[:, count:])


def warp(image: Tensor, spline: Spline) -> Tensor:
    """The picture whose pixel at p shows what stood at `spline(p)`.

    Args:
        image: B x C x H x W.
        spline: of normalised coordinates, [-1, 1] with `align_corners=False`.

    Returns:
        B x C x H x W; outside of the picture its edge is repeated.
    """
    height, width = image.shape[-2:]
    coarse = _places(-(-height // _STEP_PX), -(-width // _STEP_PX), image.device)
    points = coarse.reshape(1, -1, 2).expand(len(image), -1, -1)
    # Shifts are smooth: between every other pixel they are interpolated, which takes a quarter of the time.
    shifts = (spline(points) - points).reshape(-1, *coarse.shape).permute(0, 3, 1, 2)
    fine = F.interpolate(shifts, (height, width), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    grid = _places(height, width, image.device) + fine
    return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)


def _places(height: int, width: int, device: torch.device) -> Tensor:
    """Normalised coordinates of pixel centres, (H, W, 2)."""
    x = (2 * torch.arange(width, device=device, dtype=torch.float32) + 1) / width - 1
    y = (2 * torch.arange(height, device=device, dtype=torch.float32) + 1) / height - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def _kernel(points: Tensor, centres: Tensor) -> Tensor:
    """r^2 log r, (B, N, K)."""
    across = points[:, :, None, 0] - centres[:, None, :, 0]
    down = points[:, :, None, 1] - centres[:, None, :, 1]
    square = across * across + down * down
    return 0.5 * square * torch.log(square + _TINY)
