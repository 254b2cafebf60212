"""LPIPS: how different two pictures look, by the features of a network for pictures (version 0.1, AlexNet).

Reference: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018. The
features are torchvision's (registry: alexnet), the weights of their channels the authors' (registry: lpips-alexnet).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.metrics.winograd import WinogradConv
from avatarkit.runtime import sha256_file
from avatarkit.weights.load import check_keys, load_into, load_state_dict, require

__all__ = ["LPIPS", "SMALLEST_PX"]

SMALLEST_PX = 32
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_CONVS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
"""Channels in and out, kernel, stride, padding; a pooling stands before the second and the third."""
_PLACES = (0, 3, 6, 8, 10)
_EPS = 1e-10


class LPIPS(nn.Module):
    """Distances of picture pairs: 0 for equal ones, about 0.7 for pictures of different things; lower is nearer.

    Gradients pass to both pictures.

    Attributes:
        name: for reports. weights_sha256: of both files, joined; None for one built in memory.
    """

    name = "lpips-0.1-alexnet"
    weights_sha256: str | None = None

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.convs = nn.ModuleList(WinogradConv(*s[:2]) if s[2] == 3 else nn.Conv2d(*s) for s in _CONVS)
        self.heads = nn.ParameterList(torch.rand(shape[1]) for shape in _CONVS)
        # For values in [0, 1]; the authors' are for [-1, 1].
        self.register_buffer("mean", (1 + torch.tensor(_MEAN)[:, None, None]) / 2, persistent=False)
        self.register_buffer("scale", 2 / torch.tensor(_STD)[:, None, None], persistent=False)
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    @classmethod
    def from_registry(cls, device: str = "cpu") -> LPIPS:
        """Load both files from the cache; MissingWeights and DamagedWeights say how to get them."""
        net = cls()
        net.load(load_state_dict("alexnet"), load_state_dict("lpips-alexnet"))
        net.weights_sha256 = "+".join(sha256_file(require(name)) for name in ("alexnet", "lpips-alexnet"))
        return net.to(device)

    def load(
        self, alexnet: Mapping[str, Tensor], heads: Mapping[str, Tensor], where: str | Path = "LPIPS' weights"
    ) -> None:
        """Fill it from torchvision's AlexNet (whose classifier is not used) and the authors' heads.

        Raises:
            WrongFile: keys that are missing or left over, or tensors of other shapes.
        """
        taken = {
            f"{number}.{kind}": alexnet[f"features.{place}.{kind}"]
            for number, place in enumerate(_PLACES)
            for kind in ("weight", "bias")
            if f"features.{place}.{kind}" in alexnet
        }
        load_into(self.convs, taken, where, "AlexNet")
        names = [f"lin{number}.model.1.weight" for number in range(len(_CONVS))]
        check_keys(heads, names, where)
        load_into(self.heads, {str(n): heads[name].flatten() for n, name in enumerate(names)}, where, "LPIPS' heads")

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Distances (B,) of pictures B x 3 x H x W, RGB in [0, 1]; UsageError for different or too small ones."""
        if one.shape != other.shape or min(one.shape[-2:]) < SMALLEST_PX:
            raise UsageError(
                f"LPIPS of {tuple(one.shape)} and {tuple(other.shape)}: give two pictures of one size, at least"
                f" {SMALLEST_PX} px"
            )
        total = one.new_zeros(len(one))
        for head, maps in zip(self.heads, self._features(torch.cat([one, other])), strict=True):
            a, b = maps.chunk(2)
            total = total + (a - b).square().mean(dim=(2, 3)) @ head
        return total

    def of_pictures(self, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
        """Distance of two pictures RGB uint8 (H, W, 3); raises as `forward`."""
        pair = [torch.from_numpy(item.copy()).permute(2, 0, 1)[None].float() / 255 for item in (one, other)]
        with torch.no_grad():
            return float(self(*pair))

    def _features(self, image: Tensor) -> list[Tensor]:
        # Channels side by side: pooling and norms on a CPU take a tenth of the time.
        x = image.contiguous(memory_format=torch.channels_last)
        x = (x - self.get_buffer("mean")) * self.get_buffer("scale")
        maps = []
        for number, conv in enumerate(self.convs):
            if number in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(conv(x), inplace=True)
            maps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPS))
        return maps
