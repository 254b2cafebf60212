"""Inpainting with LaMa: a plausible background behind the person.

Licence: code and weights Apache-2.0 (https://github.com/advimman/lama). The published big-lama TorchScript
file carries its own definition.
Input: RGB in [0, 1], B x 3 x H x W, and the hole as B x 1 x H x W of 0 and 1; sides multiples of 8.
Reference: R. Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matting import check_image
from avatarkit.errors import UsageError
from avatarkit.weights.adapter import Adapter

if TYPE_CHECKING:
    import torch

__all__ = ["LaMaInpainter"]

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are the first outside

_STEP_PX = 8
_SMALLEST_PX = 64  # the network halves its input three times and mirrors at borders: less than this breaks it
_MARGIN, _MARGIN_PX = 0.5, 128  # surroundings that the network sees, in sides of the hole and at least
_MOST_HOLES = 64  # of more, the box around all is taken at once
_NOTHING_KNOWN = 127


class LaMaInpainter(Adapter):
    """Fills holes with LaMa, each seen with the surroundings that it needs."""

    name = "lama"
    weights_name = "big-lama"

    def __init__(
        self,
        module: torch.nn.Module,
        device: str = "cpu",
        largest_side_px: int = 1024,
    ) -> None:
        """Take a module with LaMa's signature.

        Args:
            module: (picture, hole) to the filled picture, shapes and ranges as in this file's first lines.
            device: where it runs; the module is moved there.
            largest_side_px: what the network sees of a hole is scaled down to this on its long side. LaMa was
                trained on small pictures: it repeats itself in a hole much wider than that.
        """
        self.largest_side_px = largest_side_px
        self._device = device
        self._module = module.to(device).eval()

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> LaMaInpainter:
        from avatarkit.weights.errors import WrongFile
        from avatarkit.weights.load import load_torchscript

        inpainter = cls(load_torchscript(source, device), device)
        probe = np.zeros((_SMALLEST_PX, _SMALLEST_PX, 3), np.uint8)
        try:
            fits = inpainter._run(probe, probe[:, :, 0] > 0).shape == probe.shape
        except (RuntimeError, TypeError, IndexError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise WrongFile(f"{path}: is not LaMa: cannot run on a picture and a hole: {reason}") from error
        if not fits:
            raise WrongFile(f"{path}: is not LaMa: it returns something else than a picture")
        return inpainter

    def inpaint(self, image_rgb: Picture, hole: Mask) -> Picture:
        """Fill the hole; see `Inpainter.inpaint`. A hole that is the whole picture becomes mid grey."""
        check_image(image_rgb)
        if hole.shape != image_rgb.shape[:2]:
            raise UsageError(f"hole {hole.shape} and image {image_rgb.shape[:2]} differ; give them one size")
        out = image_rgb.copy()
        if hole.all():
            out[:] = _NOTHING_KNOWN
            return out
        for left, top, right, bottom in _crops(hole):
            window = np.s_[top:bottom, left:right]
            filled = self._fill(image_rgb[window], hole[window])
            out[window][hole[window]] = filled[hole[window]]
        return out

    def _fill(self, image: Picture, hole: Mask) -> Picture:
        """Return a crop with its hole filled (other pixels as they come), through the working size."""
        height, width = hole.shape
        scale = self.largest_side_px / max(height, width)
        if scale >= 1:
            return self._run(image, hole)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        # A pixel that only touches the hole holds some of its colour already.
        share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        filled = self._run(small, share > 0)
        return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)

    def _run(self, image: Picture, hole: Mask) -> Picture:
        """Run the network on a picture of any size."""
        import torch

        height, width = hole.shape
        below, right = (max(_SMALLEST_PX, -(-side // _STEP_PX) * _STEP_PX) - side for side in (height, width))
        padded = np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")
        mask = np.pad(hole, ((0, below), (0, right)), mode="symmetric")
        # Without these, a GPU may take another algorithm, or less precision, from one call to the next.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        # Else the first runs profile and recompile the module: slow, and not bit for bit like later ones.
        plain = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
        with torch.inference_mode(), exact, plain:
            picture = torch.from_numpy(padded).to(self._device).permute(2, 0, 1)[None].float() / 255
            filled = self._module(picture, torch.from_numpy(mask).to(self._device)[None, None].float())
            planes = (filled[0].clamp(0, 1) * 255).round().to(torch.uint8)
        pixels: Picture = planes.permute(1, 2, 0)[:height, :width].cpu().numpy()
        return pixels


def _crops(hole: Mask) -> list[Box]:
    """Boxes with margin that hold the whole hole and do not overlap."""
    if not hole.any():
        return []
    height, width = hole.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    tight = [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, _ in stats[1:]]
    if count - 1 > _MOST_HOLES:
        tight = [_around(tight)]
    boxes: list[Box] = []
    for left, top, right, bottom in tight:
        margin = max(_MARGIN_PX, round(_MARGIN * max(right - left, bottom - top)))
        left, top = max(0, left - margin), max(0, top - margin)
        box = left, top, min(width, right + margin), min(height, bottom + margin)
        while touching := [other for other in boxes if _overlap(box, other)]:
            boxes = [other for other in boxes if other not in touching]
            box = _around([box, *touching])
        boxes.append(box)
    return boxes


def _around(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
