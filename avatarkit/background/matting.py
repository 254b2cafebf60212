"""What every matting method offers: one picture in, one soft foreground matte out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError

__all__ = ["Matting", "check_image", "mattes"]


class Matting(Protocol):
    """Splits a portrait into the person (head and body) and everything behind.

    Attributes:
        name: short name for reports and options.
    """

    name: str

    def matte(
        self, image_rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float32]:
        """Return the foreground's coverage of every pixel.

        Args:
            image_rgb: H x W x 3 uint8.
            landmarks_px: 478 x 2 or 478 x 3 face landmarks (x, y[, z]) in pixels of `image_rgb`, when known.

        Returns:
            H x W float32 in [0, 1]; the same input always gives the same matte.

        Raises:
            InputError: the image is not H x W x 3 uint8 or is empty.
        """


def check_image(image_rgb: NDArray[np.uint8]) -> None:
    """Refuse anything but a non-empty H x W x 3 uint8 picture with an InputError."""
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8 or image_rgb.size == 0:
        raise InputError(
            f"image of shape {image_rgb.shape} and type {image_rgb.dtype} cannot be used;"
            " give height x width x 3 RGB of type uint8"
        )


def mattes(
    matting: Matting, images_rgb: Sequence[NDArray[np.uint8]], landmarks_px: Sequence[NDArray[np.floating[Any]]]
) -> list[NDArray[np.float32]]:
    """The mattes of several pictures of one size, together where the method can; see `Matting.matte`."""
    together = getattr(matting, "mattes", None)
    if together is not None:
        result: list[NDArray[np.float32]] = together(images_rgb, landmarks_px)
        return result
    return [matting.matte(image, marks) for image, marks in zip(images_rgb, landmarks_px, strict=True)]
