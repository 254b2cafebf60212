"""The plate: what a portrait's background looks like without the person."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.composite import check_pair
from avatarkit.background.inpaint import Inpainter
from avatarkit.background.membrane import fill_smooth, masked_blur

__all__ = ["make_plate"]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SEEN = 0.02
# Loose strands are looked for on a copy of this size, within this share of its side around the hole.
_LOOK_PX, _REACH = 512, 0.09
# Of the hole's margin, the outer part over which its filling fades in.
_JOIN = 0.7
# Strands are thin and shadows faint; what is wider and stands out by more than this many levels is a thing behind.
_THING_PX, _THING_LEVELS = 4, 20.0
_PLAIN_LEVELS, _STANDS_OUT_LEVELS, _STANDS_OUT_RATIO = 6.0, 4.0, 2.5


def make_plate(
    image_rgb: NDArray[np.uint8], alpha: Array, inpainter: Inpainter, dilate_px: int
) -> NDArray[np.uint8]:
    """Fill in what the foreground hides.

    Args:
        image_rgb: H x W x 3 uint8.
        alpha: H x W float32 in [0, 1], the matte of that picture.
        inpainter: fills the hole.
        dilate_px: the hole is all that the matte touches, grown by this radius (4 % of the face's
            height takes in the rim and loose hair), and what stands out from a plain background near it: strands and
            shadows that no matte holds.

    Returns:
        H x W x 3 uint8, bit-identical to the picture outside of the hole.

    Raises:
        InputError: not an H x W x 3 uint8 image. UsageError: the matte has another size.
    """
    check_pair(image_rgb, alpha)
    near = hole = _grown(alpha > _SEEN, dilate_px)
    if hole.any() and not hole.all():
        hole = hole | _strands(image_rgb, hole)
    plate = inpainter.inpaint(image_rgb, hole)
    # What is painted runs into what was there, so that no cut shows beside a head that hardly moves. Where the hole
    # goes on, nothing that was there is left to run into.
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rim = near & (depth < _JOIN * dilate_px)
    share = (depth[rim] / np.float32(max(_JOIN * dilate_px, 1.0)))[:, None]
    own = image_rgb[rim].astype(np.float32)
    plate[rim] = np.round(own + share * (plate[rim] - own))
    return plate


def _grown(mask: Mask, radius_px: int) -> Mask:
    if radius_px <= 0:
        return mask
    # By distance: a disc as structuring element takes seconds on large pictures.
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= radius_px + np.float32(0.3), bool)


def _strands(image_rgb: NDArray[np.uint8], hole: Mask) -> Mask:
    """What stands out from an even background near the hole, with a small margin; bool (H, W)."""
    height, width = hole.shape
    scale = min(1.0, _LOOK_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.float32)
    small = np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0, bool)
    reach = max(2, round(_REACH * max(size)))
    ring = _grown(small, reach) & ~small
    known = (~ring & ~small).astype(np.float32)
    if not known.any():
        return np.zeros_like(hole)
    sigma = reach / 3.0
    mean = masked_blur(image, known, sigma)
    spread = np.sqrt(masked_blur((image - mean) ** 2, known, sigma)).max(2, keepdims=True)
    beyond = fill_smooth(np.concatenate([mean, spread], axis=2), known)
    usual = beyond[..., 3]
    difference = np.abs(cv2.GaussianBlur(image, (0, 0), 0.7) - beyond[..., :3]).max(2)
    odd = ring & (usual < _PLAIN_LEVELS) & (difference > np.maximum(_STANDS_OUT_LEVELS, _STANDS_OUT_RATIO * usual))
    odd &= ~_things(odd & (difference > _THING_LEVELS))
    result = cv2.resize(_grown(odd, 2).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(result, bool)


def _things(mask: Mask) -> Mask:
    """What of a mask (H, W) is wider than a strand, with its rim."""
    core = ~_grown(~mask, _THING_PX)
    return _grown(core, 2 * _THING_PX)
