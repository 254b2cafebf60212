"""VGGFace: a VGG16 trained to tell 2622 people apart.

Licence: research only, non-commercial. Input: RGB in [0, 255] less the training set's mean colour.
Reference: O. M. Parkhi, A. Vedaldi, A. Zisserman, "Deep Face Recognition", BMVC 2015; the weights are those that
S. Albanie brought to PyTorch (vgg_face_dag).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from avatarkit.nets.features.vgg import CHANNELS, VGGFeatures, sequential_places
from avatarkit.weights.adapter import Adapter
from avatarkit.weights.load import load_state_dict

__all__ = ["VGGFace"]

_CONVS = (2, 2, 3, 3, 3)
_MEAN = (129.186, 104.762, 93.594)  # of 255, RGB
_CLASSIFIER = tuple(f"fc{layer}.{kind}" for layer in (6, 7, 8) for kind in ("weight", "bias"))


class VGGFace(VGGFeatures, Adapter):
    """Feature maps of VGGFace; loads the published file, whose layers fc6 to fc8 are not used."""

    name = "vggface"
    weights_name = "vggface"

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        """Build it with random weights; other widths than the published ones serve tests."""
        super().__init__(_CONVS, channels, [level / 255 for level in _MEAN], [1 / 255] * 3)

    def load_state(self, state: Mapping[str, Tensor], where: str | Path = "state dict") -> None:
        """Fill it from a state dict in the published layout; WrongFile lists what does not fit."""
        self.load(state, {name: name for name in sequential_places(_CONVS, "")}, _CLASSIFIER, where)

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> VGGFace:
        net = cls()
        net.load_state(load_state_dict(source), path)
        return net.to(device)
