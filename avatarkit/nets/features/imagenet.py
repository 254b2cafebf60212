"""VGG16 and VGG19 trained to name what photographs show (ImageNet); VGG16 is at hand more often, and a quarter cheaper.

Licence: BSD-3-Clause, weights of torchvision. Input: RGB in [0, 1], less ImageNet's mean over its deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from torch import Tensor

from avatarkit.nets.features.vgg import CHANNELS, VGGFeatures, sequential_places
from avatarkit.weights.adapter import Adapter
from avatarkit.weights.load import load_state_dict

__all__ = ["VGG16", "VGG19"]

Net = TypeVar("Net", bound="_ImageNetVGG")

_CLASSIFIER = tuple(f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias"))


class _ImageNetVGG(VGGFeatures, Adapter):
    """Loads torchvision's file, whose classifier is not used."""

    blocks: ClassVar[tuple[int, ...]]
    """Convolutions of each."""
    classifier_needed: ClassVar[bool]
    """Whether a file without it is refused."""

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        """Build it with random weights; other widths than the published ones serve tests."""
        super().__init__(self.blocks, channels)

    def load_state(self, state: Mapping[str, Tensor], where: str | Path = "state dict") -> None:
        """Fill it from a state dict in torchvision's layout; WrongFile lists what does not fit."""
        others = tuple(key for key in _CLASSIFIER if self.classifier_needed or key in state)
        self.load(state, sequential_places(self.blocks, "features."), others, where)

    @classmethod
    def _load(cls: type[Net], source: str | Path, path: Path, device: str) -> Net:
        net = cls()
        net.load_state(load_state_dict(source), path)
        return net.to(device)


class VGG16(_ImageNetVGG):
    """Feature maps of VGG16; the convolutions alone suffice."""

    name = weights_name = "vgg16"
    blocks, classifier_needed = (2, 2, 3, 3, 3), False


class VGG19(_ImageNetVGG):
    """Feature maps of VGG19."""

    name = weights_name = "vgg19"
    blocks, classifier_needed = (2, 2, 4, 4, 4), True
