"""E_warp: what of a frame its neighbour does not explain, once brought onto it by the flow of the true frames.

After W.-S. Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, as MetaPortrait (CVPR 2023) reports it:
absolute differences summed over RGB in [0, 1], over the pixels that are seen in both frames. The flow is OpenCV's DIS
in place of RAFT, so that no weights are needed; figures compare among themselves alone. Blur lowers E_warp: look at
PSNR or LPIPS beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError

__all__ = ["backward_flow", "occluded", "warped_difference", "warping_error"]

Picture = NDArray[np.uint8]
Flow = NDArray[np.float32]
_BORDER_PX = 2
_SMALLEST_PX = 16


def warping_error(drawn: Sequence[Picture], true: Sequence[Picture]) -> float:
    """Mean over t of the difference of frame t and frame t - 1 moved onto it, where that is seen in both.

    Args:
        drawn, true: RGB uint8 (H, W, 3), as many of one size; the flow is that of the true ones.

    Raises:
        UsageError: under two frames, or not as many of both.
    """
    if len(drawn) < 2 or len(drawn) != len(true):
        raise UsageError(f"warping error of {len(drawn)} drawn and {len(true)} true frames: give two or more of each")
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in true]
    values = []
    for now in range(1, len(drawn)):
        back = backward_flow(np.asarray(grey[now]), np.asarray(grey[now - 1]))
        there = backward_flow(np.asarray(grey[now - 1]), np.asarray(grey[now]))
        seen = ~occluded(back, there)
        values.append(warped_difference(drawn[now], drawn[now - 1], back, seen))
    return float(np.mean(values))


def warped_difference(now: Picture, before: Picture, back: Flow, seen: NDArray[np.bool_]) -> float:
    """Absolute difference summed over RGB, in units of 1, averaged over the pixels that are seen in both.

    Args:
        back: (H, W, 2), where in the frame before each pixel stood, less its own place. seen: (H, W).
    """
    inner = np.zeros_like(seen)
    inner[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = True
    counted = seen & inner
    difference = np.abs(now.astype(np.float32) - _moved(before.astype(np.float32), back)).sum(2) / 255
    return float(difference[counted].sum() / max(int(counted.sum()), 1))


def backward_flow(now: Picture, before: Picture) -> Flow:
    """Where in the grey frame before each pixel of this one stood, less its own place: (H, W, 2) pixels, (x, y).

    Raises:
        UsageError: frames under 16 pixels.
    """
    if min(now.shape[:2]) < _SMALLEST_PX:
        raise UsageError(f"optical flow of {now.shape[1]} x {now.shape[0]} px: frames need {_SMALLEST_PX}")
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(now, before, np.zeros((0,), np.float32))
    return np.asarray(flow, np.float32)


def occluded(back: Flow, there: Flow) -> NDArray[np.bool_]:
    """Where a pixel was hidden in the frame before: the way back and the way there do not cancel.

    N. Sundaram et al., "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow", ECCV 2010.
    """
    returned = _moved(there, back)
    gap = ((back + returned) ** 2).sum(2)
    lengths = (back**2).sum(2) + (returned**2).sum(2)
    result: NDArray[np.bool_] = gap > 0.01 * lengths + 0.5
    return result


def _moved(picture: NDArray[np.float32], back: Flow) -> NDArray[np.float32]:
    height, width = back.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    read = cv2.remap(picture, x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32)
