"""Matting from the face's place alone, without any network: a head-and-shoulders prior and GrabCut.

The fallback where neither MediaPipe's segmentation nor MODNet can run. It follows colours, so a person dressed like the
wall behind is cut badly.
Reference: C. Rother, V. Kolmogorov, A. Blake, ""GrabCut": Interactive Foreground Extraction using Iterated Graph Cuts",
SIGGRAPH 2004; the implementation is OpenCV's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matte_refine import face_hull
from avatarkit.background.rough_matting import RoughMatting

__all__ = ["LandmarkMatting", "portrait_prior"]

Array = NDArray[np.float32]
Mask = NDArray[np.uint8]
Image = NDArray[np.uint8]

_SIDE_PX, _ITERATIONS = 320, 5
_BLUR = 0.02  # of the answer, in face heights


class LandmarkMatting(RoughMatting):
    """Person matte without weights; good on plain backgrounds, rough on others."""

    name = "landmarks"

    def _rough(self, image: Image, points: Array | None) -> Array:
        height, width = image.shape[:2]
        scale = min(1.0, _SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        box = _face_box(points, width, height) * scale
        hull = None if points is None else (face_hull(points) + 0.5) * scale - 0.5
        mask = portrait_prior(size[0], size[1], box, hull)
        sharp = _grabcut(small, mask).astype(np.float32)
        rough = cv2.GaussianBlur(sharp, (0, 0), max(0.5, _BLUR * float(box[3] - box[1])))
        return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def portrait_prior(width: int, height: int, box: NDArray[np.float64], hull: Array | None = None) -> Mask:
    """Where a person of whom the face is known can be, in GrabCut's four labels.

    Args:
        width, height: of the picture, in pixels.
        box: the face's left, top, right, bottom, forehead to chin.
        hull: the face's outline (N, 2), which is foreground for sure; the box's ellipse otherwise.

    Returns:
        uint8 (height, width): sure background around and above the head, probable background beside it, probable
        foreground for hair, neck, shoulders and chest, sure foreground for the face.
    """
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    w, h = max(2.0, box[2] - box[0]), max(2.0, box[3] - box[1])
    chin = box[3]
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    # Hair may be long and hats high, arms may be wide: beyond that there is no person.
    _ellipse(mask, (x, y + 0.05 * h), (1.45 * w, 1.35 * h), cv2.GC_PR_BGD)
    _body(mask, x, chin, w, h, (1.2, 2.6), height, cv2.GC_PR_BGD)
    _ellipse(mask, (x, y - 0.12 * h), (0.68 * w, 0.82 * h), cv2.GC_PR_FGD)
    _body(mask, x, chin, w, h, (0.5, 2.0), height, cv2.GC_PR_FGD)
    # Sure: the face with the hair's root above it, the neck, and the chest below where shoulders begin.
    _ellipse(mask, (x, y - 0.1 * h), (0.45 * w, 0.62 * h), cv2.GC_FGD)
    _body(mask, x, chin - 0.1 * h, w, h, (0.22, 1.1), height, cv2.GC_FGD)
    if hull is not None:
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), (cv2.GC_FGD,))
    return mask


def _body(
    mask: Mask, x: float, chin: float, w: float, h: float, half_widths: tuple[float, float], bottom: int, label: int
) -> None:
    """Neck and shoulders down to the picture's end; half widths of neck and shoulders in widths of the face."""
    neck, shoulder = (half * w for half in half_widths)
    right = [(neck, 0.0), (neck, 0.3 * h), (shoulder, 0.85 * h), (1.15 * shoulder, max(bottom - chin, h))]
    outline = [(x + dx, chin + dy) for dx, dy in right] + [(x - dx, chin + dy) for dx, dy in reversed(right)]
    cv2.fillPoly(mask, [np.rint(np.array(outline)).astype(np.int32)], (label,))


def _ellipse(mask: Mask, centre: tuple[float, float], radii: tuple[float, float], label: int) -> None:
    angle = np.linspace(0.0, 2 * np.pi, 64, endpoint=False)
    outline = np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], 1)
    cv2.fillConvexPoly(mask, np.rint(outline).astype(np.int32), (label,))


def _face_box(points: Array | None, width: int, height: int) -> NDArray[np.float64]:
    """The face's box; where it is not known, that of a usual portrait of this size."""
    if points is not None:
        hull = face_hull(points)
        return np.asarray(np.concatenate([hull.min(0), hull.max(0)]) + 0.5, np.float64)
    side = 0.4 * min(width, height)
    x, y = width / 2, min(0.4 * height, 0.8 * width)
    return np.array([x - 0.4 * side, y - side / 2, x + 0.4 * side, y + side / 2])


def _grabcut(image: Image, prior: Mask) -> NDArray[np.bool_]:
    """Foreground by GrabCut, bool (H, W); the prior's own where one side is empty and no colours can be learnt."""
    mask = prior.copy()
    foreground = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    if foreground.all() or not foreground.any():
        return np.asarray(foreground, bool)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # OpenCV draws the first cluster centres from its thread's generator: the same picture, the same matte.
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, mask, (0, 0, 0, 0), models[0], models[1], _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), bool)
