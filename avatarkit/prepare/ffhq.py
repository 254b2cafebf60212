"""FFHQ's alignment: a square that turns with the eyes, cut out of a photo.

Source: T. Karras, S. Laine, T. Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks",
CVPR 2019, appendix A; T. Karras et al., "Progressive Growing of GANs", ICLR 2018, appendix C. The code is our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatarkit.face.types import LANDMARKS

__all__ = ["Quad", "align", "quad_of"]

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

_EYE_FACTOR, _MOUTH_FACTOR, _LOWERED = 2.0, 1.8, 0.1
_OVERSAMPLING = 4
_MARGIN, _PAD = 0.1, 0.3
_BLUR, _FADE = 0.02, 3.0

# The mesh's points where 300-W has the eyes' outlines (36-41, 42-47) and the mouth's corners (48, 54).
_MESH_EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
_MESH_MOUTH = (61, 291)
PUBLISHED_LANDMARKS = 68
"""Of FFHQ's json, in the usual order of 300-W: eyes 36-47, mouth 48-67; the person's right first."""
_PUBLISHED_EYES = (tuple(range(36, 42)), tuple(range(42, 48)))
_PUBLISHED_MOUTH = (48, 54)


@dataclass(frozen=True, eq=False)
class Quad:
    """The square of an aligned portrait.

    corners: (4, 2) pixels of the photo, its upper left, lower left, lower right and upper right. side: in pixels.
    """

    corners: Array
    side: float


def quad_of(landmarks: NDArray[np.floating[Any]]) -> Quad:
    """The square that the published recipe asks for.

    Args:
        landmarks: (68, 2 or more) in 300-W order or (478, 2 or more) of the mesh, in pixels of the photo.

    Raises:
        ValueError: another number of landmarks, or eyes and mouth in one point.
    """
    points = np.asarray(landmarks, np.float64)[:, :2]
    if len(points) not in (PUBLISHED_LANDMARKS, LANDMARKS):
        raise ValueError(f"{len(points)} landmarks; give {PUBLISHED_LANDMARKS} or {LANDMARKS}")
    published = len(points) == PUBLISHED_LANDMARKS
    eyes, mouth = (_PUBLISHED_EYES, _PUBLISHED_MOUTH) if published else (_MESH_EYES, _MESH_MOUTH)
    first, second = (points[list(eye)].mean(0) for eye in eyes)
    middle = (first + second) / 2.0
    to_mouth = points[list(mouth)].mean(0) - middle
    between = second - first
    x = between - _turned(to_mouth)
    length = float(np.linalg.norm(x))
    if not length > 0:
        raise ValueError("eyes and mouth lie in one point")
    reach = max(_EYE_FACTOR * float(np.linalg.norm(between)), _MOUTH_FACTOR * float(np.linalg.norm(to_mouth)))
    x *= reach / length
    y = _turned(x)
    centre = middle + _LOWERED * to_mouth
    return Quad(np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y]), 2.0 * reach)


def _turned(vector: Array) -> Array:
    """A quarter turn, clockwise as seen: what points right then points down."""
    return np.array([-vector[1], vector[0]])


def align(photo: Picture, quad: Quad, size: int) -> Picture:
    """The quad as RGB uint8 (size, size, 3).

    A photo much larger than needed is reduced first. What lies outside of it is the photo mirrored, blurred towards
    the border and faded into the photo's median colour. The quad is then sampled at four times the size, bilinear,
    and reduced with a Lanczos filter.
    """
    corners, side = quad.corners, quad.side
    shrink = math.floor(side / size / 2.0)
    if shrink > 1:
        shown = round(photo.shape[1] / shrink), round(photo.shape[0] / shrink)
        photo = np.asarray(Image.fromarray(photo).resize(shown, Image.Resampling.LANCZOS))
        corners, side = corners / shrink, side / shrink
    photo, corners = _surroundings(photo, corners, side)
    return _sampled(photo, corners, size)


def _surroundings(photo: Picture, corners: Array, side: float) -> tuple[Picture, Array]:
    """The part of the photo about the quad with a margin, continued where the photo ends; the quad in its pixels."""
    margin = max(round(side * _MARGIN), 3)
    height, width = photo.shape[:2]
    low = np.floor(corners.min(0)).astype(int) - margin
    high = np.ceil(corners.max(0)).astype(int) + margin
    missing = [-int(low[0]), -int(low[1]), int(high[0]) - width, int(high[1]) - height]
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    part = photo[top : max(top + 1, int(high[1])), left : max(left + 1, int(high[0]))]
    moved = corners - (left, top)
    # A quad that touches the border by less than the margin needs no padding.
    if max(missing) <= margin - 4:
        return np.ascontiguousarray(part), moved
    least = round(side * _PAD)
    pads = [max(0, length, least) for length in missing]
    return _continued(part, pads, side), moved + np.array(pads[:2])


def _continued(part: Picture, pads: list[int], side: float) -> Picture:
    """The picture with borders (left, top, right, bottom) mirrored, then blurred and faded the further out."""
    left, top, right, bottom = pads
    mirrored = np.pad(part, ((top, bottom), (left, right), (0, 0)), mode="reflect")
    height, width = mirrored.shape[:2]
    across, down = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    # 0 at the photo's edge, 1 at the outermost pixel, below 0 inside.
    out_x = 1.0 - np.minimum(across / max(left, 1), across[::-1] / max(right, 1))
    out_y = 1.0 - np.minimum(down / max(top, 1), down[::-1] / max(bottom, 1))
    out = np.maximum(out_x[None, :], out_y[:, None])[..., None]
    picture = mirrored.astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), max(side * _BLUR, 0.1), borderType=cv2.BORDER_REFLECT)
    picture += (blurred - picture) * np.clip(out * _FADE + 1.0, 0.0, 1.0)
    picture += (np.median(picture, axis=(0, 1)) - picture) * np.clip(out, 0.0, 1.0)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _sampled(photo: Picture, corners: Array, size: int) -> Picture:
    """The quad, sampled at `_OVERSAMPLING` times the size and reduced."""
    fine = size * _OVERSAMPLING
    across, down = (corners[3] - corners[0]) / fine, (corners[1] - corners[0]) / fine
    # Pixel i of the result shows the quad at (i + 0.5) / fine of its side.
    start = corners[0] + (across + down) / 2.0
    matrix = np.column_stack([across, down, start])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(photo, matrix, (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    image = Image.fromarray(np.asarray(sampled, np.uint8)).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8)
