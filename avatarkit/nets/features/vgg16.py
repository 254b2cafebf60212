"""VGG16 trained to name what photographs show (ImageNet); it is at hand more often than VGG19, and a quarter cheaper.

Licence: BSD-3-Clause, weights of torchvision. Input: RGB in [0, 1], less ImageNet's mean over its deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from avatarkit.nets.features.vgg import CHANNELS, VGGFeatures, sequential_places
from avatarkit.weights.adapter import Adapter
from avatarkit.weights.load import load_state_dict

__all__ = ["VGG16"]

_CONVS = (2, 2, 3, 3, 3)
_CLASSIFIER = tuple(f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias"))


class VGG16(VGGFeatures, Adapter):
    """Feature maps of VGG16; loads torchvision's file, whose classifier is not used and need not be there."""

    name = "vgg16"
    weights_name = "vgg16"

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        """Build it with random weights; other widths than the published ones serve tests."""
        super().__init__(_CONVS, channels)

    def load_state(self, state: Mapping[str, Tensor], where: str | Path = "state dict") -> None:
        """Fill it from a state dict in torchvision's layout; WrongFile lists what does not fit."""
        others = tuple(key for key in _CLASSIFIER if key in state)
        self.load(state, sequential_places(_CONVS, "features."), others, where)

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> VGG16:
        net = cls()
        net.load_state(load_state_dict(source), path)
        return net.to(device)
