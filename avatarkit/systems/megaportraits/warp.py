"""Sampling grids: rigid motion of the head and learned offsets, composed.

Coordinates are (x, y, z) in [-1, 1] with `align_corners=False`: -1 and 1 are outer edges, so that voxel i of n lies at
(2 i + 1) / n - 1. x grows to the right, y down, z away from the camera; the volume's depth spans [-1, 1] as x does.
A head transform takes canonical coordinates to the picture's: p = s R q + t.

A grid says for each voxel of the output where to read in the input. What it reads moves the other way: to carry
content by M, read at M^-1. Hence undoing the source's motion, which carries its content by M^-1, reads at M q, and the
driver's motion, which carries by M, reads at M^-1 p.

Two samplings in a row, first with grid f and then with grid g, read the input at f(g(.)). Here the two of each warp
are composed on coordinates, and the volume is sampled once: the same up to one interpolation, which would blur.

    source: M_s undone, then the offset d:   canonical voxel q reads the source's volume at M_s (q + d(q))
    driver: the offset d, then the motion:   picture's voxel p reads the canonical volume at u + d(u), u = M_d^-1 p

Source: MegaPortraits, section 3.1, equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from avatarkit.devices import at_least_single, full_precision

__all__ = ["driver_grid", "identity_grid", "inverse", "move", "sample", "source_grid"]


def identity_grid(shape: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """Coordinates of a volume's voxels: D x H x W x 3 float32 for a shape (D, H, W)."""
    axes = [(2 * torch.arange(size, device=device, dtype=torch.float32) + 1) / size - 1 for size in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def move(head_B44: Tensor, points: Tensor) -> Tensor:
    """Points (..., 3), or B x ... x 3, taken through transforms B x 4 x 4: B x ... x 3 float32."""
    with full_precision(head_B44.device):
        head, points = at_least_single(head_B44), at_least_single(points)
        head = head.to(points.dtype)
        batched = points if points.dim() == 5 else points.expand(len(head), *points.shape)
        flat = batched.reshape(len(head), -1, 3)
        moved = torch.baddbmm(head[:, None, :3, 3], flat, head[:, :3, :3].mT)
        return moved.view(batched.shape)


def inverse(head_B44: Tensor) -> Tensor:
    """Inverse transforms, float32."""
    # inv_ex does not wait for the device to report singular matrices; a head's scale is positive.
    back: Tensor = torch.linalg.inv_ex(at_least_single(head_B44)).inverse
    return back


def source_grid(head_B44: Tensor, offset_B3DHW: Tensor) -> Tensor:
    """Where canonical voxels read in the source's volume: its rigid motion undone first, then the offset.

    Args:
        head_B44: the source's head transform.
        offset_B3DHW: (x, y, z) of the learned expression offset at each canonical voxel.

    Returns:
        B x D x H x W x 3 float32.
    """
    offset = at_least_single(offset_B3DHW).permute(0, 2, 3, 4, 1)
    return move(head_B44, identity_grid(offset_B3DHW.shape[2:], offset.device) + offset)


def driver_grid(head_B44: Tensor, offset_B3DHW: Tensor) -> Tensor:
    """Where voxels of the picture's volume read in the canonical one: the offset first, then the driver's motion.

    Args:
        head_B44: the driver's head transform.
        offset_B3DHW: (x, y, z) of the learned expression offset at each canonical voxel; beyond the cube it goes on
            as at its faces.

    Returns:
        B x D x H x W x 3 float32.
    """
    undone = move(inverse(head_B44), identity_grid(offset_B3DHW.shape[2:], offset_B3DHW.device))
    offset = sample(at_least_single(offset_B3DHW), undone, beyond="border")
    return undone + offset.permute(0, 2, 3, 4, 1)


def sample(volume_BCDHW: Tensor, grid_BDHW3: Tensor, beyond: str = "zeros") -> Tensor:
    """Read a volume at a grid by trilinear interpolation, in float32; "zeros" or "border" lie beyond it."""
    with full_precision(volume_BCDHW.device):
        volume = at_least_single(volume_BCDHW)
        grid = grid_BDHW3.to(volume.dtype)
        read = F.grid_sample(volume, grid, mode="bilinear", padding_mode=beyond, align_corners=False)
    return read.to(volume_BCDHW.dtype)
