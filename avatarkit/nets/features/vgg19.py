"""VGG19 trained to name what photographs show (ImageNet).

Licence: BSD-3-Clause, weights of torchvision. Input: RGB in [0, 1], less ImageNet's mean over its deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from avatarkit.nets.features.vgg import CHANNELS, VGGFeatures, sequential_places
from avatarkit.weights.adapter import Adapter
from avatarkit.weights.load import load_state_dict

__all__ = ["VGG19"]

_CONVS = (2, 2, 4, 4, 4)
_CLASSIFIER = tuple(f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias"))


class VGG19(VGGFeatures, Adapter):
    """Feature maps of VGG19; loads torchvision's file, whose classifier is not used."""

    name = "vgg19"
    weights_name = "vgg19"

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        """Build it with random weights; other widths than the published ones serve tests."""
        super().__init__(_CONVS, channels)

    def load_state(self, state: Mapping[str, Tensor], where: str | Path = "state dict") -> None:
        """Fill it from a state dict in torchvision's layout; WrongFile lists what does not fit."""
        self.load(state, sequential_places(_CONVS, "features."), _CLASSIFIER, where)

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> VGG19:
        net = cls()
        net.load_state(load_state_dict(source), path)
        return net.to(device)
