"""What every measure of picture quality offers: frames in, one score each out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError

__all__ = ["QualityModel", "check_frames"]


class QualityModel(Protocol):
    """Rates frames. Scores compare only if `name` and `weights_sha256` are the same: store both with them.

    Attributes:
        name: short name for reports and options.
        weights_sha256: hash of the weights' file, 64 hexadecimal digits; None for a method without weights.
    """

    name: str
    weights_sha256: str | None

    def score(self, frames_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rate frames of one size.

        Args:
            frames_rgb: N x H x W x 3 uint8; N may be 0.

        Returns:
            N float32, the higher the better; the same frames always give the same scores.

        Raises:
            InputError: the frames are not N x H x W x 3 uint8, or have no pixels.
        """


def check_frames(frames_rgb: NDArray[np.uint8]) -> None:
    """Refuse anything but N x H x W x 3 uint8 with H, W > 0 with an InputError; N may be 0."""
    shape = frames_rgb.shape
    if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:] or frames_rgb.dtype != np.uint8:
        raise InputError(
            f"frames of shape {shape} and type {frames_rgb.dtype} cannot be rated;"
            " give frames x height x width x 3 RGB of type uint8"
        )
