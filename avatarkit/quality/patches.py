"""Pictures cut into patches of one size: a fixed grid that reaches every edge, with no chance in it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError, UsageError

__all__ = ["cut_patches", "grid_starts"]

_SLIMMEST = 64  # enlarging a sliver would fill the memory


def grid_starts(size_px: int, patch_px: int) -> list[int]:
    """Where patches begin along a side: as few as cover it, evenly spread, the last one at the end.

    Args:
        size_px: length of the side.
        patch_px: side of a patch, at most `size_px`.

    Returns:
        Ascending starts; neighbours overlap or touch, and the last patch ends at `size_px`.

    Raises:
        UsageError: the patch is not positive or longer than the side.
    """
    if not 0 < patch_px <= size_px:
        raise UsageError(f"a patch of {patch_px} px does not fit into {size_px} px; enlarge it first")
    count = -(-size_px // patch_px)
    # Integers only, so that every machine cuts at the same pixels.
    return [0] if count == 1 else [step * (size_px - patch_px) // (count - 1) for step in range(count)]


def cut_patches(image_rgb: NDArray[np.uint8], patch_px: int) -> NDArray[np.uint8]:
    """Cut a picture into the patches of its grid, row by row.

    Args:
        image_rgb: H x W x 3 uint8. With a side under `patch_px` it is first enlarged (bicubic), its aspect
            kept, until the short side fits.
        patch_px: side of a patch.

    Returns:
        P x patch_px x patch_px x 3 uint8, P = ceil(H / patch_px) * ceil(W / patch_px) of the size cut.

    Raises:
        InputError: the picture would have to be enlarged and is more than 64 times as long as wide.
    """
    height, width = image_rgb.shape[:2]
    if min(height, width) < patch_px:
        if max(height, width) > _SLIMMEST * min(height, width):
            raise InputError(f"picture of {width} x {height} px is too slim to be enlarged; crop it")
        scale = patch_px / min(height, width)
        width, height = (max(patch_px, round(side * scale)) for side in (width, height))
        enlarged = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_CUBIC)
        image_rgb = np.asarray(enlarged, np.uint8)
    return np.stack(
        [
            image_rgb[top : top + patch_px, left : left + patch_px]
            for top in grid_starts(height, patch_px)
            for left in grid_starts(width, patch_px)
        ]
    )
