"""Matting with MODNet: fine edges and hair from one pass over the picture.

Licence: code and weights Apache-2.0 (https://github.com/ZHKKKe/MODNet); the definition here is our own.
Input: RGB, (x / 255 - 0.5) / 0.5, sides multiples of 32, the short side 512 (`net_size`).
Reference: Z. Ke et al., "MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition",
AAAI 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matte_refine import face_hull
from avatarkit.background.matting import check_image
from avatarkit.weights.adapter import Adapter

if TYPE_CHECKING:
    from avatarkit.background.modnet_net import MODNet

__all__ = ["MODNetMatting", "net_size"]

Array = NDArray[np.float32]

_SIDE_PX, _STEP_PX = 512, 32
_LONGEST_PX = 2048  # a picture more than four times as long as it is wide is squeezed: memory stays bounded
_FAINT = 0.02  # what the network leaves between people


class MODNetMatting(Adapter):
    """Person matte by MODNet; loads the authors' checkpoints, with or without `module.` before their keys."""

    name = "modnet"
    weights_name = "modnet"

    def __init__(self, net: MODNet, device: str = "cpu") -> None:
        """Take a network; it is moved to `device` and set to evaluation."""
        self._device = device
        self._net = net.to(device).eval()

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> MODNetMatting:
        from avatarkit.background.modnet_net import load_modnet
        from avatarkit.weights.load import load_state_dict

        return cls(load_modnet(load_state_dict(source), path), device)

    def matte(
        self, image_rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float32]:
        """Return the person's matte; see `Matting.matte`.

        With landmarks the face is always foreground, and people and things not connected to it are dropped.
        """
        check_image(image_rgb)
        (matte,) = self._mattes([image_rgb])
        return matte if landmarks_px is None else _keep_face(matte, landmarks_px)

    def mattes(
        self, images_rgb: Sequence[NDArray[np.uint8]], landmarks_px: Sequence[NDArray[np.floating[Any]]]
    ) -> list[NDArray[np.float32]]:
        """The mattes of pictures of one size, by one pass of the network; see `Matting.matte`."""
        result = self._mattes(images_rgb)
        return [_keep_face(matte, marks) for matte, marks in zip(result, landmarks_px, strict=True)]

    def _mattes(self, images: Sequence[NDArray[np.uint8]]) -> list[Array]:
        height, width = images[0].shape[:2]
        seen = np.stack([_resize(image.astype(np.float32), *net_size(width, height)) for image in images])
        return [np.clip(_resize(matte, width, height), 0, 1) for matte in self._run(seen)]

    def _run(self, images: Array) -> Array:
        """Run the network on B x h x w x 3 float32 pictures in [0, 255]; B x h x w in [0, 1]."""
        import torch

        # Without these, a GPU may take another algorithm, or less precision, from one call to the next.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            planes = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
            mattes: Array = self._net(planes / 127.5 - 1)[:, 0].cpu().numpy()
        return mattes


def net_size(width_px: int, height_px: int) -> tuple[int, int]:
    """The authors' working size for a picture, as (width, height), multiples of 32.

    The short side becomes 512 if it is longer, or if the long side is shorter than 512; other pictures keep
    their size. Both sides are then cut to multiples of 32, at least 32, and at most 2048.
    """
    short, long = sorted((width_px, height_px))
    scale = _SIDE_PX / short if long < _SIDE_PX or short > _SIDE_PX else 1.0
    sides = (int(side * scale + 1e-6) // _STEP_PX * _STEP_PX for side in (width_px, height_px))
    width, height = (min(max(side, _STEP_PX), _LONGEST_PX) for side in sides)
    return width, height


def _resize(image: Array, width: int, height: int) -> Array:
    """Average down, bilinear up; `area` upwards, as in the authors' scripts, would leave blocks."""
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.float32)


def _keep_face(matte: Array, landmarks_px: NDArray[np.floating[Any]]) -> Array:
    """Fill the face and drop what no path of foreground joins to it."""
    face = np.zeros(matte.shape, np.uint8)
    cv2.fillConvexPoly(face, np.rint(face_hull(landmarks_px)).astype(np.int32), (1,))
    matte[face > 0] = 1.0
    count, labels = cv2.connectedComponents((matte > _FAINT).astype(np.uint8), connectivity=8)
    kept = np.zeros(count, bool)
    kept[labels[face > 0]] = True
    return np.where(kept[labels], matte, np.float32(0)) if kept.any() else matte
