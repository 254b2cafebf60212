"""Takes flicker out of drawn frames: fine detail and matte, averaged along the motion over neighbouring frames.

Each frame is compared with those before and after it, brought onto it by optical flow: detail with one on either side,
the matte with `REACH`. Of the colours only what is finer than `DETAIL` of the side is averaged: what moves, such as the
mouth, is coarser and stays the frame's own. Looking as far ahead as back, nothing lags; and where a neighbour, brought
onto the frame, does not agree with it in its coarse part (the flow is wrong there, or something came into view), it
does not take part, so nothing ghosts.

Flows err where there is little to hold on to, as along the outline that a matte follows. Two are sought, of the frames
and of blurred ones, in which flicker does not lead it; each brings the neighbour over, and both take half a part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.systems.protocol import Drawn

Array = NDArray[np.float32]
Grey = NDArray[np.uint8]

REACH = 2
"""Frames on either side over which a matte is averaged."""
DETAIL = 1 / 64
"""Standard deviation of the blur that parts detail from the rest, as a share of the frame's side."""
LEAST_PX = 1.0
AGREES = 8.0
"""Grey levels by which coarse parts may differ for a neighbour to take full part; at twice as many it takes none."""
FLOW_PX = 256
"""Side at which flows are sought."""
FLOW_BLUR = 1 / 96
"""Standard deviation of the blur for the second flow, as a share of the side."""


@dataclass(frozen=True)
class _Seen:
    """A drawn frame with what its neighbours are compared by; greys and `small`, of the coarse part, are reduced."""

    greys: tuple[Grey, Grey]
    small: Array
    coarse: Array
    detail: Array
    alpha: Array | None


def steadied(frames: Iterable[Drawn], strength: float) -> Iterator[Drawn]:
    """Drawn frames in order, steadied, each as soon as those after it are known.

    Args:
        frames: of one size; of each shot or of a whole video, since neighbours that differ take no part.
        strength: 0 changes nothing, 1 gives neighbours the frame's own weight.
    """
    near: deque[_Seen | None] = deque([None] * (2 * REACH + 1), maxlen=2 * REACH + 1)
    presets = cv2.DISOPTICAL_FLOW_PRESET_FAST, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    flows = [cv2.DISOpticalFlow.create(preset) for preset in presets]
    for drawn in chain(frames, repeat(None, REACH)):
        near.append(None if drawn is None else _seen(drawn))
        now = near[REACH]
        if now is not None:
            others = [
                (abs(place - REACH), seen) for place, seen in enumerate(near) if seen is not None and seen is not now
            ]
            yield _steady(now, others, strength, flows)


def _seen(drawn: Drawn) -> _Seen:
    frame = drawn.frame.astype(np.float32)
    side = max(frame.shape[:2])
    coarse = np.asarray(cv2.GaussianBlur(frame, (0, 0), max(LEAST_PX, DETAIL * side)), np.float32)
    scale = min(1.0, FLOW_PX / side)
    size = max(16, round(frame.shape[1] * scale)), max(16, round(frame.shape[0] * scale))
    small = cv2.resize(drawn.frame, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), max(LEAST_PX, FLOW_BLUR * max(size)))
    sharp, soft = (np.asarray(cv2.cvtColor(item, cv2.COLOR_RGB2GRAY), np.uint8) for item in (small, blurred))
    reduced = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_AREA), np.float32)
    alpha = None if drawn.alpha is None else drawn.alpha.astype(np.float32)
    return _Seen((sharp, soft), reduced, coarse, frame - coarse, alpha)


def _steady(now: _Seen, others: list[tuple[int, _Seen]], strength: float, flows: list[cv2.DISOpticalFlow]) -> Drawn:
    """A frame with what its neighbours, each with its distance, add to it."""
    height, width = now.coarse.shape[:2]
    size = width, height
    details, mattes = np.ones((height, width), np.float32), np.ones((height, width), np.float32)
    detail, alpha = now.detail.copy(), None if now.alpha is None else now.alpha.copy()
    for distance, other in others:
        # The second flow takes four times as long; those further away are worth the first alone.
        used = len(flows) if distance == 1 else int(alpha is not None)
        for grey, their, flow in zip(now.greys[:used], other.greys[:used], flows[:used], strict=True):
            shift = np.asarray(flow.calc(grey, their, np.zeros((*grey.shape, 2), np.float32)), np.float32)
            unlike = np.abs(_moved(other.small, _places(shift, (grey.shape[1], grey.shape[0]))) - now.small).max(axis=2)
            agrees = np.clip(2.0 - unlike / np.float32(AGREES), 0.0, 1.0).astype(np.float32)
            weight = np.float32(strength / len(flows)) * cv2.resize(agrees, size, interpolation=cv2.INTER_LINEAR)
            places = _places(shift, size)
            if distance == 1:
                details += weight
                detail += weight[..., None] * _moved(other.detail, places)
            if alpha is not None and other.alpha is not None:
                mattes += weight
                alpha += weight * _moved(other.alpha, places)
    frame = _levels(now.coarse + detail / details[..., None])
    return Drawn(frame, None if alpha is None else _levels(alpha / mattes))


def _levels(values: Array) -> NDArray[np.uint8]:
    """Grey levels; a cubic look-up overshoots at edges."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _places(shift: Array, size: tuple[int, int]) -> Array:
    """Where each pixel of a frame of that size (width, height) lies in its neighbour, (H, W, 2), by a reduced flow."""
    scale = np.array([size[0] / shift.shape[1], size[1] / shift.shape[0]], np.float32)
    full = np.asarray(cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR), np.float32) * scale
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    full[..., 0] += x
    full[..., 1] += y
    return full


def _moved(layer: Array, places: Array) -> Array:
    moved = cv2.remap(layer, places[..., 0], places[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
