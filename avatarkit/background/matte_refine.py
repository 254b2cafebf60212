"""From a rough matte to one with the picture's edges: trimap, colour sampling, guided filter, clean-up."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.color_sampling import sample_alpha
from avatarkit.background.guided_filter import guided_filter

__all__ = ["face_hull", "refine_matte"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Lengths are in heights of the face, levels in shares of the full matte or of the full brightness.
_DOUBT_LOW, _DOUBT_HIGH = 0.2, 0.85  # the network's answer, stretched: it is rarely sure on paintings
_SURE_FG, _SURE_BG = 0.92, 0.08  # of the stretched answer
_INNER, _OUTER = 0.045, 0.06  # the unknown band inside and outside of the rough edge
_GUIDE_RADIUS, _GUIDE_EPS = 0.012, 2e-4
_LOW, _HIGH = 0.03, 0.97  # levels that become exactly 0 and 1: the filter never quite reaches them
_HOLE = 0.12  # side of the largest enclosed hole that is filled
_SOLID, _NECKING, _REACH = 0.7, 0.05, 0.09  # the subject's core, what cuts islands off it, what it keeps
_DOUBT = 0.12  # under the chin this much is enough
_CLOTHES, _BROAD = 0.3, 0.05  # of the network's answer: clothes it is not sure of, in areas broader than an edge
_NOTHING, _ABRUPT, _OUTLINED = 0.1, 0.03, 0.7  # so much of their outline falls to nothing within this length
_TEMPLE = 0.12  # the skull is wider than the face by this share on each side
_WISP_REACH, _WISP_WINDOW = 0.25, 0.06
_WISP_CONTRAST, _WISP_PLAIN = 0.025, 0.05  # how far hair stands out, and up to which spread ground is plain


def face_hull(landmarks_px: NDArray[np.floating[Any]]) -> Array:
    """Return the convex outline of the landmarks as N x 2 float32 (x, y)."""
    points = np.ascontiguousarray(landmarks_px[:, :2], np.float32)
    return np.asarray(cv2.convexHull(points), np.float32).reshape(-1, 2)


def refine_matte(image_rgb: NDArray[np.uint8], rough: Array, landmarks_px: Array | None) -> Array:
    """Sharpen a rough matte.

    Args:
        image_rgb: H x W x 3 uint8.
        rough: H x W float32 in [0, 1], right to within a few percent of the head's height.
        landmarks_px: N x 2 or more float32 face landmarks, or None.

    Returns:
        H x W float32 in [0, 1].
    """
    face = _face_mask(rough.shape, landmarks_px)
    unit_px = _head_size(rough, landmarks_px)
    if landmarks_px is not None:
        rough = _take_clothes(rough, round(float(landmarks_px[:, 1].max())), unit_px)
    rough = np.clip((rough - _DOUBT_LOW) / (_DOUBT_HIGH - _DOUBT_LOW), 0, 1)
    rough = _keep_subject(np.maximum(rough, face.astype(np.float32)), face, unit_px)
    if landmarks_px is not None:
        rough = _fill_body(rough, round(float(landmarks_px[:, 1].max())))
        rough = _fill_brow(rough, landmarks_px)
    if not (rough > 0.5).any():
        return rough
    sure_fg = _erode(rough > _SURE_FG, _INNER * unit_px) | face
    sure_bg = ~_dilate(rough > _SURE_BG, _OUTER * unit_px) & ~face
    sure_bg &= ~_wisps(image_rgb, sure_bg, unit_px)
    if not sure_bg.any():
        return rough
    sampled, confidence = sample_alpha(image_rgb, sure_fg, sure_bg, rough, unit_px)
    weight = np.where(sure_fg | sure_bg, 1.0, 0.05 + confidence).astype(np.float32)
    radius = max(1, round(_GUIDE_RADIUS * unit_px))
    alpha = guided_filter(image_rgb, sampled, radius, _GUIDE_EPS, weight)
    alpha = np.clip((alpha - _LOW) / (_HIGH - _LOW), 0, 1)
    alpha[sure_fg], alpha[sure_bg] = 1.0, 0.0
    return alpha


def _face_mask(shape: tuple[int, ...], landmarks_px: Array | None) -> Mask:
    mask = np.zeros(shape, np.uint8)
    if landmarks_px is not None:
        cv2.fillConvexPoly(mask, np.rint(face_hull(landmarks_px)).astype(np.int32), (1,))
    return mask.astype(bool)


def _head_size(rough: Array, landmarks_px: Array | None) -> float:
    """Return the face's height in pixels; without landmarks, a guess from the matte's area."""
    if landmarks_px is not None:
        size = np.ptp(landmarks_px[:, :2], axis=0)
        return max(8.0, float(size.max()))
    return max(8.0, 0.5 * float(np.sqrt((rough > 0.5).sum())))


def _erode(mask: Mask, radius_px: float) -> Mask:
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance > max(1.0, radius_px), bool)


def _dilate(mask: Mask, radius_px: float) -> Mask:
    return ~_erode(~mask, radius_px)


def _take_clothes(rough: Array, below_row: int, unit_px: float) -> Array:
    """Take as the subject, below the chin, what the network half believes in where that has a sharp outline.

    Clothes that look like the background get an even, low answer up to their outline; where the background looks like
    skin or clothes, the answer fades out.
    """
    body = rough[max(below_row, 0) :]
    if not len(body):
        return rough
    likely, sure = body > _CLOTHES, body > _DOUBT_HIGH
    half = likely & ~sure & _dilate(_erode(likely & ~sure, _BROAD * unit_px), _BROAD * unit_px)
    count, labels = cv2.connectedComponents(half.astype(np.uint8), connectivity=4)
    taken = rough.copy()
    for label in range(1, count):
        area = labels == label
        near = _dilate(area, _ABRUPT * unit_px)
        beyond = near & ~_dilate(area, 0.5 * _ABRUPT * unit_px) & ~likely
        if (near & sure).any() and beyond.any() and float((body[beyond] < _NOTHING).mean()) > _OUTLINED:
            taken[max(below_row, 0) :][area] = 1.0
    return taken


def _fill_body(rough: Array, below_row: int) -> Array:
    """Take what is doubtful under the chin as body where sure foreground is above and on both sides."""
    if not 0 <= below_row < rough.shape[0]:
        return rough
    out = rough.copy()
    body = out[below_row:]
    sure = body > _SURE_FG
    below = np.maximum.accumulate(sure, axis=0)
    body[below & _between(sure) & (body > _DOUBT)] = 1.0
    return out


def _fill_brow(rough: Array, landmarks_px: Array) -> Array:
    """Fill what lies over the face and under or between parts of the head: no background shows through a skull."""
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    aside = _TEMPLE * (high[0] - low[0])
    left, right, top = (max(0, round(float(v))) for v in (low[0] - aside, high[0] + aside, low[1]))
    out = rough.copy()
    brow = out[:top, left:right]
    subject = brow > 0.5
    brow[np.maximum.accumulate(subject, axis=0) | _between(subject)] = 1.0
    return out


def _between(mask: Mask) -> Mask:
    """Where a row of the mask has true values on both sides, or here."""
    from_right = np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.maximum.accumulate(mask, axis=1) & from_right, bool)


def _wisps(image_rgb: NDArray[np.uint8], sure_bg: Mask, unit_px: float) -> Mask:
    """Find loose hair over a plain background: pixels near the head that stand out from even surroundings."""
    ring = sure_bg & _dilate(~sure_bg, _WISP_REACH * unit_px)
    image = cv2.GaussianBlur(image_rgb, (0, 0), 0.8).astype(np.float32) / 255
    size = 2 * max(2, round(_WISP_WINDOW * unit_px)) + 1
    mass = np.maximum(cv2.boxFilter(sure_bg.astype(np.float32), -1, (size, size)), 1e-3)[..., None]
    masked = image * sure_bg[..., None]
    mean = cv2.boxFilter(masked, -1, (size, size)) / mass
    spread = np.sqrt(np.maximum(cv2.boxFilter(masked * image, -1, (size, size)) / mass - mean**2, 0)).max(2)
    stands_out = np.abs(image - mean).max(2) > np.maximum(_WISP_CONTRAST, 2.5 * spread)
    return np.asarray(ring & stands_out & (spread < _WISP_PLAIN), bool)


def _keep_subject(alpha: Array, face: Mask, unit_px: float) -> Array:
    """Drop what is not firmly connected to the subject, and fill small holes."""
    core = _erode(alpha > _SOLID, _NECKING * unit_px) | face
    count, labels = cv2.connectedComponents(core.astype(np.uint8), connectivity=8)
    if count > 1:
        within = labels[face] if face.any() else labels.ravel()
        sizes = np.bincount(within, minlength=count)
        sizes[0] = 0
        near = _dilate(labels == int(sizes.argmax()), (_NECKING + _REACH) * unit_px)
        alpha = alpha * cv2.GaussianBlur(near.astype(np.float32), (0, 0), max(0.5, 0.2 * _REACH * unit_px))
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha < 0.9).astype(np.uint8), connectivity=4)
    height, width = alpha.shape
    fill = (stats[:, cv2.CC_STAT_AREA] < (_HOLE * unit_px) ** 2) & (
        (stats[:, cv2.CC_STAT_LEFT] > 0)
        & (stats[:, cv2.CC_STAT_TOP] > 0)
        & (stats[:, cv2.CC_STAT_LEFT] + stats[:, cv2.CC_STAT_WIDTH] < width)
        & (stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] < height)
    )
    fill[0] = False
    return np.where(fill[labels], np.float32(1), alpha).astype(np.float32)
