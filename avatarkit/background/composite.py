"""Foreground colours without background in them, and the per-frame blend.

Source of the colour estimate: T. Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020, eq. 3-5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matting import check_image
from avatarkit.errors import UsageError
from avatarkit.geometry.easing import eased

__all__ = ["check_pair", "composite", "foreground_colors", "to_rgba", "with_rim"]

Array = NDArray[np.float32]

# The layers mix to the picture as long as their colours need not leave their neighbours' by much.
_SMOOTHNESS = 5e-3
_COARSE_PX = 16
_COARSE_PASSES = 100
_FINE_PASSES = 2
_SOLVE_PX = 1280
_STRIP_PX = 128
_OPAQUE = 0.996
_SEEN = 0.02
_BAND_PX = 256


def foreground_colors(image_rgb: NDArray[np.uint8], alpha: Array) -> NDArray[np.uint8]:
    """Estimate the foreground's own colour at every pixel.

    Where the matte is soft the picture shows a mix with the background, which is taken out; outside of it the
    nearest foreground colours are continued, so that interpolating the result never picks up background.

    Args:
        image_rgb: H x W x 3 uint8.
        alpha: H x W float32 in [0, 1], the matte of that picture.

    Returns:
        H x W x 3 uint8; equal to the picture where the matte is opaque (alpha >= 0.996).

    Raises:
        InputError: not an H x W x 3 uint8 image. UsageError: the matte has another size.
    """
    check_pair(image_rgb, alpha)
    height, width = alpha.shape
    scale = min(1.0, _SOLVE_PX / max(height, width))
    if scale == 1.0:
        foreground, _ = _split_layers(image_rgb.astype(np.float32), alpha)
        out = np.rint(foreground).astype(np.uint8)
    else:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.float32)
        small_alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
        out = _enlarge_layers(image_rgb, alpha, *_split_layers(small, small_alpha))
    cv2.copyTo(image_rgb, (alpha >= _OPAQUE).astype(np.uint8), out)
    return out


def composite(
    foreground: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | Array,
    background: NDArray[np.uint8],
    *,
    in_place: bool = False,
) -> NDArray[np.uint8]:
    """Blend the foreground over the background.

    Args:
        foreground: H x W x C uint8, not premultiplied; C is 3, or 4 where both are layers themselves.
        alpha: H x W, uint8 in 0..255 or float32 in [0, 1].
        background: H x W x C uint8.
        in_place: whether the foreground may itself become the blend, which saves a picture.

    Returns:
        H x W x C uint8: exact where alpha is 0 or full, else rounded to within one level.
    """
    pixels_together = foreground.strides[1:] == (foreground.shape[2], 1)
    in_place = in_place and foreground.flags.writeable and pixels_together
    result = foreground if in_place else np.empty(foreground.shape, np.uint8)
    # A band at a time: what is between the layers and the blend stays within the processor.
    for top in range(0, len(foreground), _BAND_PX):
        rows = slice(top, top + _BAND_PX)
        levels = alpha[rows] if alpha.dtype == np.uint8 else cv2.convertScaleAbs(alpha[rows], alpha=255.0)
        near = levels.astype(np.float32)
        cv2.blendLinear(foreground[rows], background[rows], near, np.float32(255.0) - near, result[rows])
    return result


def to_rgba(foreground: NDArray[np.uint8], alpha: NDArray[np.uint8] | Array) -> NDArray[np.uint8]:
    """Join colours and matte into H x W x 4 uint8, not premultiplied; arguments as for `composite`."""
    levels = alpha if alpha.dtype == np.uint8 else cv2.convertScaleAbs(alpha, alpha=255.0)
    return np.asarray(cv2.merge([*cv2.split(foreground), levels]), dtype=np.uint8)


def with_rim(alpha: Array, whole_px: int, fading_px: int) -> Array:
    """The matte (H, W) grown: 1 up to `whole_px` around all that it touches, falling to 0 over `fading_px` more."""
    distance = cv2.distanceTransform((alpha <= _SEEN).astype(np.uint8), cv2.DIST_L2, 5)
    t = np.clip(1.0 - (distance - np.float32(whole_px)) / np.float32(max(fading_px, 1)), 0.0, 1.0)
    return np.asarray(eased(t), np.float32)


def check_pair(image_rgb: NDArray[np.uint8], alpha: Array) -> None:
    """Refuse a picture that is none (InputError), and a matte of another size (UsageError)."""
    check_image(image_rgb)
    if alpha.shape != image_rgb.shape[:2]:
        raise UsageError(f"matte {alpha.shape} and image {image_rgb.shape[:2]} differ; give them one size")


def _split_layers(image: Array, alpha: Array) -> tuple[Array, Array]:
    """Return foreground and background colours (H x W x 3 each, 0..255), solved from coarse to fine."""
    height, width = alpha.shape
    if max(height, width) <= _COARSE_PX:
        foreground, background = _start(image, alpha), _start(image, 1 - alpha)
        passes = _COARSE_PASSES
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        coarse = _split_layers(
            np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.float32),
            np.asarray(cv2.resize(alpha, half, interpolation=cv2.INTER_AREA), np.float32),
        )
        foreground, background = (
            np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            for layer in coarse
        )
        passes = _COARSE_PASSES if max(height, width) <= 4 * _COARSE_PX else _FINE_PASSES
    for _ in range(passes):
        foreground, background = _relax(image, alpha, foreground, background)
    return foreground, background


def _enlarge_layers(
    image_rgb: NDArray[np.uint8], alpha: Array, foreground: Array, background: Array
) -> NDArray[np.uint8]:
    """Bring layers solved on a smaller picture to full size, corrected there strip by strip."""
    height, width = alpha.shape
    layers = [
        cv2.resize(np.rint(layer).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
        for layer in (foreground, background)
    ]
    out = np.empty_like(image_rgb)
    for top in range(0, height, _STRIP_PX):
        rows = slice(top, top + _STRIP_PX)
        near_f, near_b = (layer[rows].astype(np.float32) for layer in layers)
        solved, _ = _correct(image_rgb[rows].astype(np.float32), alpha[rows], near_f, near_b)
        out[rows] = np.rint(solved)
    return out


def _start(image: Array, weight: Array) -> Array:
    """Return the weighted mean colour everywhere: the start on the smallest level."""
    mass = float(weight.sum()) + 1e-6
    color = (image * weight[..., None]).sum((0, 1)) / mass
    return np.ascontiguousarray(np.broadcast_to(color.astype(np.float32), image.shape))


def _relax(image: Array, alpha: Array, foreground: Array, background: Array) -> tuple[Array, Array]:
    """One sweep: neighbours' mean, corrected so that the two layers mix to the picture."""
    near_f = np.asarray(cv2.blur(foreground, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    near_b = np.asarray(cv2.blur(background, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    return _correct(image, alpha, near_f, near_b)


def _correct(image: Array, alpha: Array, near_f: Array, near_b: Array) -> tuple[Array, Array]:
    """Move both layers, as little as possible, until they mix to the picture."""
    a = alpha[..., None]
    error = image - near_b - a * (near_f - near_b)
    gain = error / (a * a + (1 - a) * (1 - a) + np.float32(_SMOOTHNESS))
    return np.clip(near_f + a * gain, 0, 255), np.clip(near_b + (1 - a) * gain, 0, 255)
