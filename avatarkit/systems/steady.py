"""Takes flicker out of drawn frames: fine detail and matte, averaged along the motion over neighbouring frames.

Each frame is compared with the one before and the one after, both brought onto it by optical flow. Only what is finer
than `DETAIL` of the side is averaged: what moves, such as the mouth, is coarser and stays the frame's own. Looking as
far ahead as back, nothing lags; and where a neighbour, brought onto the frame, does not agree with it in its coarse
part (the flow is wrong there, or something came into view), it does not take part, so nothing ghosts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.systems.protocol import Drawn

Array = NDArray[np.float32]

DETAIL = 1 / 64
"""Standard deviation of the blur that parts detail from the rest, as a share of the frame's side."""
LEAST_PX = 1.0
AGREES = 8.0
"""Grey levels by which coarse parts may differ for a neighbour to take full part; at twice as many it takes none."""
FLOW_PX = 256
"""Side at which the flow is sought."""


@dataclass(frozen=True)
class _Seen:
    """A drawn frame with what its neighbours are compared by."""

    drawn: Drawn
    grey: NDArray[np.uint8]
    coarse: Array
    detail: Array
    alpha: Array | None


def steadied(frames: Iterable[Drawn], strength: float) -> Iterator[Drawn]:
    """Drawn frames in order, steadied, each as soon as the next is known.

    Args:
        frames: of one size; of each shot or of a whole video, since neighbours that differ take no part.
        strength: 0 changes nothing, 1 gives neighbours the frame's own weight.
    """
    near: deque[_Seen] = deque(maxlen=3)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for drawn in frames:
        near.append(_seen(drawn))
        if len(near) == 2:
            yield _steady(near[0], [near[1]], strength, flow)
        elif len(near) == 3:
            yield _steady(near[1], [near[0], near[2]], strength, flow)
    if near:
        yield _steady(near[-1], [near[-2]] if len(near) > 1 else [], strength, flow)


def _seen(drawn: Drawn) -> _Seen:
    frame = drawn.frame.astype(np.float32)
    side = max(frame.shape[:2])
    sigma = max(LEAST_PX, DETAIL * side)
    coarse = np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.float32)
    scale = min(1.0, FLOW_PX / side)
    size = max(16, round(frame.shape[1] * scale)), max(16, round(frame.shape[0] * scale))
    grey = cv2.cvtColor(cv2.resize(drawn.frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    alpha = None if drawn.alpha is None else drawn.alpha.astype(np.float32)
    return _Seen(drawn, np.asarray(grey, np.uint8), coarse, frame - coarse, alpha)


def _steady(now: _Seen, others: list[_Seen], strength: float, flow: cv2.DISOpticalFlow) -> Drawn:
    height, width = now.coarse.shape[:2]
    total = np.ones((height, width), np.float32)
    detail, alpha = now.detail.copy(), None if now.alpha is None else now.alpha.copy()
    for other in others:
        places = _places(now.grey, other.grey, (width, height), flow)
        coarse, fine = (_moved(layer, places) for layer in (other.coarse, other.detail))
        unlike = np.abs(coarse - now.coarse).max(axis=2)
        weight = np.float32(strength) * np.clip(2.0 - unlike / np.float32(AGREES), 0.0, 1.0).astype(np.float32)
        total += weight
        detail += weight[..., None] * fine
        if alpha is not None and other.alpha is not None:
            alpha += weight * _moved(other.alpha, places)
    frame = _levels(now.coarse + detail / total[..., None])
    return Drawn(frame, None if alpha is None else _levels(alpha / total))


def _levels(values: Array) -> NDArray[np.uint8]:
    """Grey levels; a cubic look-up overshoots at edges."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _places(
    now: NDArray[np.uint8], other: NDArray[np.uint8], size: tuple[int, int], flow: cv2.DISOpticalFlow
) -> Array:
    """Where each pixel of the frame lies in its neighbour, (H, W, 2)."""
    result = np.asarray(flow.calc(now, other, np.zeros((*now.shape, 2), np.float32)), np.float32)
    scale = np.array([size[0] / now.shape[1], size[1] / now.shape[0]], np.float32)
    full = np.asarray(cv2.resize(result, size, interpolation=cv2.INTER_LINEAR), np.float32) * scale
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    full[..., 0] += x
    full[..., 1] += y
    return full


def _moved(layer: Array, places: Array) -> Array:
    moved = cv2.remap(layer, places[..., 0], places[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
