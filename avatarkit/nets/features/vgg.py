"""The convolutions of a VGG, frozen, and what every feature net of the losses offers.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1.
Feature maps are taken after the first ReLU of each block, relu1_1 to relu5_1 (choice: the set of P. Isola's and
NVIDIA's image translation, which the head avatars before MegaPortraits used too).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.weights.load import check_keys, load_into

__all__ = ["CHANNELS", "IMAGENET_MEAN", "IMAGENET_STD", "SMALLEST_PX", "FeatureNet", "VGGFeatures", "sequential_places"]

CHANNELS = (64, 128, 256, 512, 512)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALLEST_PX = 16
"""Side of the smallest picture: the last feature map then has one pixel."""


class FeatureNet(Protocol):
    """Picture to feature maps, frozen; gradients pass through to the picture.

    Attributes:
        name: short name for reports and options.
        weights_sha256: hash of the weights' file; None for a network built in memory.
    """

    name: str
    weights_sha256: str | None

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Return five feature maps, B x C x h x w each, of B x 3 x H x W RGB in [0, 1]."""


class VGGFeatures(nn.Module):
    """A VGG up to conv5_1; gives the feature maps relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1. See `FeatureNet`."""

    name: str
    weights_sha256: str | None = None

    def __init__(
        self,
        convs: Sequence[int],
        channels: Sequence[int] = CHANNELS,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Build it with random weights.

        Args:
            convs: convolutions of each of the five blocks; of the last, only the first is built.
            channels: of each block.
            mean, std: taken off, and divided by, per colour; for RGB in [0, 1].
        """
        super().__init__()
        self.convs = nn.ModuleDict()
        inputs = 3
        for name, width in _names([*convs[:4], 1], channels):
            self.convs[name] = nn.Conv2d(inputs, width, 3, padding=1)
            inputs = width
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the five feature maps; see `FeatureNet`. UsageError for pictures under 16 pixels."""
        if min(image.shape[-2:]) < SMALLEST_PX:
            raise UsageError(
                f"picture of {image.shape[-1]} x {image.shape[-2]} px: feature nets need {SMALLEST_PX}; "
                "take fewer scales or larger frames"
            )
        maps: list[Tensor] = []
        features = (image - self.get_buffer("mean")) / self.get_buffer("std")
        for name, conv in self.convs.items():
            is_first = name.endswith("_1")
            if is_first and maps:
                features = F.max_pool2d(features, 2)
            # Not in place: the map before it was handed out, or is needed for the gradient.
            features = F.relu(conv(features))
            if is_first:
                maps.append(features)
        return maps

    def load(
        self, state: Mapping[str, Tensor], places: Mapping[str, str], others: Sequence[str], where: str | Path
    ) -> None:
        """Fill the convolutions from a published state dict.

        Args:
            state: tensors by key.
            places: what the file calls each convolution of the whole VGG, by its name here, such as "conv1_1".
            others: the file's keys that are no convolutions; they must be there, and are not used.
            where: how errors name the state dict.

        Raises:
            WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
        """
        kinds = ("weight", "bias")
        check_keys(state, [f"{place}.{kind}" for place in places.values() for kind in kinds] + [*others], where)
        taken = {f"{name}.{kind}": state[f"{places[name]}.{kind}"].float() for name in self.convs for kind in kinds}
        load_into(self.convs, taken, where, type(self).__name__)


def sequential_places(convs: Sequence[int], prefix: str) -> dict[str, str]:
    """What torchvision calls the convolutions of a VGG: their places in one sequence with ReLUs and poolings."""
    places, place, last = {}, 0, 1
    for name, _ in _names(convs, CHANNELS):
        block = int(name[4])
        place, last = place + (block - last), block  # a pooling ends each block
        places[name] = f"{prefix}{place}"
        place += 2
    return places


def _names(convs: Sequence[int], channels: Sequence[int]) -> Iterator[tuple[str, int]]:
    for block, (count, width) in enumerate(zip(convs, channels, strict=True), start=1):
        yield from ((f"conv{block}_{index}", width) for index in range(1, count + 1))
